"""What is left out of the log."""

import logging


def refused_in_one_line(record: logging.LogRecord) -> bool:
    """Somebody who may not is no fault of ours: their refusal has no traceback."""
    if record.levelno < logging.ERROR:
        record.exc_info = None
    return True
