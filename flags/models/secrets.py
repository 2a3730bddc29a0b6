"""SDK keys and API tokens: 256 random bits behind a public id, stored as SHA-256, shown once."""

import hashlib
import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from flags.models.environments import Environment


@dataclass(frozen=True)
class Secret:
    """A secret at its birth: `text` is shown once and kept nowhere, the rest is stored."""

    text: str
    public_id: str
    hash: str

    def __repr__(self) -> str:
        return f"Secret({self.public_id})"


def new_secret(prefix: str) -> Secret:
    """`<prefix>_<public id>_<256 random bits>`; the prefix lets scanners recognise a leaked one."""
    public_id = f"{prefix}_{secrets.token_hex(6)}"
    text = f"{public_id}_{secrets.token_urlsafe(32)}"
    return Secret(text=text, public_id=public_id, hash=hash_of(text))


def hash_of(text: str) -> str:
    """What is stored of a secret. It has 256 random bits, so a plain hash cannot be guessed back."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class SdkKey(models.Model):
    """Lets an app read one environment: `server` the whole ruleset, `client` evaluations only."""

    PREFIXES = {"server": "fss", "client": "fsc"}

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="sdk_keys")
    kind = models.CharField(max_length=10)
    name = models.CharField(max_length=200, blank=True)
    public_id = models.CharField(max_length=40, unique=True)
    hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["created_at"]
        constraints = [
            models.CheckConstraint(
                name="flags_sdk_key_kind_is_known", condition=Q(kind__in=["server", "client"])
            )
        ]

    def __str__(self) -> str:
        return self.public_id


class ApiToken(models.Model):
    """Lets a program use the management API as a person or a service, within its scopes."""

    PREFIX = "fst"
    SCOPES = ("read", "propose", "apply", "review", "admin")
    # So many days before its end somebody is told.
    TOLD_DAYS_BEFORE = (14, 3, 1)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens"
    )
    # Who saw its secret and so may speak by it; None where that was the operator.
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="tokens_made",
    )
    name = models.CharField(max_length=200, blank=True)
    public_id = models.CharField(max_length=40, unique=True)
    hash = models.CharField(max_length=64, unique=True)
    scopes = ArrayField(models.CharField(max_length=20))
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    # The last of TOLD_DAYS_BEFORE at which its end was announced.
    told_days_left = models.PositiveSmallIntegerField(null=True, blank=True)

    class Meta:
        ordering = ["created_at"]
        constraints = [
            models.CheckConstraint(
                name="flags_api_token_scopes_are_known",
                condition=Q(
                    scopes__contained_by=["read", "propose", "apply", "review", "admin"],
                    scopes__len__gte=1,
                ),
            )
        ]

    def __str__(self) -> str:
        return self.public_id

    def days_left(self, now: datetime) -> int | None:
        """Whole days until its end, once that is near; None before, without one, and when over."""
        if self.expires_at is None or self.revoked_at is not None or self.expires_at <= now:
            return None
        days = (self.expires_at - now).days
        return days if days < max(self.TOLD_DAYS_BEFORE) else None
