"""SDK keys and API tokens: 256 random bits behind a public id, stored as SHA-256, shown once."""

import hashlib
import secrets
import uuid
from dataclasses import dataclass

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
    """Lets a program use the management API in a person's name, within its scopes."""

    PREFIX = "fst"
    SCOPES = ("read", "write", "review", "admin")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens"
    )
    name = models.CharField(max_length=200, blank=True)
    public_id = models.CharField(max_length=40, unique=True)
    hash = models.CharField(max_length=64, unique=True)
    scopes = ArrayField(models.CharField(max_length=20))
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["created_at"]
        constraints = [
            models.CheckConstraint(
                name="flags_api_token_scopes_are_known",
                condition=Q(
                    scopes__contained_by=["read", "write", "review", "admin"], scopes__len__gte=1
                ),
            )
        ]

    def __str__(self) -> str:
        return self.public_id
