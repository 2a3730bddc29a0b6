"""The hot path: OFREP and the rulesets for SDKs, as an ASGI application beside Django.

No middleware, no ORM, no template: a request is answered from what flags.live holds in memory.
"""
