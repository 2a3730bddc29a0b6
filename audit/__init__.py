"""The event log: numbered facts per stream, chained by hash, and the outbox of what must follow.

It knows streams, events, effects and subscribers. What they are about is the product's affair.
"""
