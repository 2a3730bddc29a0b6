"""The names by which people and apps speak of projects, environments, flags and segments."""

import re
from typing import Any

from django.db import models

KEY_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$"
KEY_MEANS = (
    "up to 200 letters, digits, dots, hyphens and underscores, beginning with a letter or digit"
)
_KEY = re.compile(KEY_PATTERN.replace("$", r"\Z"))


def is_key(text: object) -> bool:
    return isinstance(text, str) and _KEY.match(text) is not None


def key_field(**options: Any) -> "models.CharField[str, str]":
    return models.CharField(max_length=200, **options)


def key_constraint(table: str) -> models.CheckConstraint:
    """The database's own check that `key` is one."""
    return models.CheckConstraint(
        name=f"flags_{table}_key_is_valid", condition=models.Q(key__regex=KEY_PATTERN)
    )
