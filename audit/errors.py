"""What a subscriber may raise on purpose."""


class Later(Exception):
    """Somebody else is at work here at this moment: nothing is wrong, and trying again helps."""
