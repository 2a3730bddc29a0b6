"""Telling people what waits for them: rows made from events, read in the inbox and sent by mail.

`telling.py` is the subscriber, `mailing.py` sends, `reading.py` marks as read, `words.py` says it.
Nothing here is part of a ruleset or decides anything: rows are written without an event.
"""
