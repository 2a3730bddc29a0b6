"""What a person at a terminal is told when the stack cannot start."""


class CannotStart(Exception):
    """The stack cannot start; the message is one line that says why and how to go on."""
