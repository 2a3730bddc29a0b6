"""The door by which people come in: django-allauth's pages, and what of them is told to the log.

allauth keeps passwords' rivals (authenticators, identities, sessions) in tables of its own; whatever
it tells its adapters becomes an event through `submit` (docs/adr/0007-signing-in.md).
"""
