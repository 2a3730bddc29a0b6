"""What one web process knows, and keeps in memory to answer from: compiled rulesets with their
encoded bytes, the table of SDK keys, the hints that say something changed, the open sockets.

    from flags.live.process import live
"""
