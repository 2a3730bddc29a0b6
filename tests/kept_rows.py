"""Rows that were made once through `submit` and are put back for each test that begins with them.

Making the cast and its project takes a hundred statements, and most tests begin so; putting the
very rows back takes a few.
"""

from collections.abc import Callable

from django.apps import apps
from django.conf import settings
from django.db import connection, transaction

# What it is and who is told of its events → table → its rows, as PostgreSQL writes them.
_kept: dict[tuple[str, ...], dict[str, bytes]] = {}


def make_or_put_back(what: str, make: Callable[[], object]) -> None:
    """Make something in empty tables, or put back what that made in an earlier test of this run."""
    if not connection.in_atomic_block:
        # Committed rows are seen by servers that live on from test to test, to which the same
        # environments at earlier versions would be a database restored from a backup.
        make()
        return
    known_by = what, *settings.EVENT_SUBSCRIBERS
    if known_by in _kept:
        with transaction.atomic(), connection.cursor() as cursor:
            for table, rows in _kept[known_by].items():
                with cursor.copy(f"COPY {table} FROM STDIN (FORMAT BINARY)") as into:
                    into.write(rows)
        return
    before = _rows()
    make()
    made = {table: rows for table, rows in _rows().items() if rows != before[table]}
    # Rows that were there before may have come from anywhere, and would be put back too.
    if all(before[table] == EMPTY for table in made):
        _kept[known_by] = made


def _rows() -> dict[str, bytes]:
    models = [
        model
        for label in ("audit", "flags")
        for model in apps.get_app_config(label).get_models(include_auto_created=True)
    ]
    found = {}
    with connection.cursor() as cursor:
        for table in sorted(model._meta.db_table for model in models):
            with cursor.copy(f"COPY {table} TO STDOUT (FORMAT BINARY)") as out:
                found[table] = b"".join(bytes(piece) for piece in out)
    return found


# The binary format's signature, flags and no extension, then its end: a table without rows.
EMPTY = b"PGCOPY\n\xff\r\n\0" + bytes(8) + b"\xff\xff"
