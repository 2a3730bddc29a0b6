"""Tables of the log: a counter per stream, its events, what is still to be delivered."""

import uuid

from django.contrib.postgres.indexes import GinIndex, HashIndex
from django.db import models


class Stream(models.Model):
    """A sequence of events without gaps. Its row is the counter, locked by who writes."""

    key = models.CharField(primary_key=True, max_length=100)
    version = models.PositiveBigIntegerField(default=0)
    head_hash = models.CharField(max_length=64, default="", blank=True)
    at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="audit_stream_empty_or_headed",
                condition=models.Q(version=0, head_hash="")
                | ~models.Q(version=0) & ~models.Q(head_hash=""),
            )
        ]

    def __str__(self) -> str:
        return f"{self.key}@{self.version}"

    @property
    def digest(self) -> str:
        """The first 16 hex digits of the newest event's hash: what names a state beside its version."""
        return self.head_hash[:16]

    @property
    def state(self) -> str:
        return f"{self.version}-{self.digest}"


class Person(models.Model):
    """Who an event speaks of, apart from the chain: events hold the digest, never the values.

    Erasing `identity` and `salt` leaves every event verifiable and no way back to the person.
    """

    digest = models.CharField(primary_key=True, max_length=64)
    salt = models.CharField(max_length=32, blank=True)
    identity = models.JSONField(null=True)

    class Meta:
        # Every event looks its actor up.
        indexes = [HashIndex(name="audit_person_identity", fields=["identity"])]

    def __str__(self) -> str:
        return str(self.identity["name"]) if self.identity else "erased"


class Event(models.Model):
    """One committed fact of a stream. The database refuses to update or delete it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    stream = models.ForeignKey(Stream, on_delete=models.PROTECT, related_name="events")
    version = models.PositiveBigIntegerField()
    at = models.DateTimeField(db_index=True)
    # Without an index of its own: audit_event_by_actor begins with it.
    actor = models.ForeignKey(
        Person, on_delete=models.PROTECT, related_name="events", db_index=False
    )
    reason = models.TextField(blank=True)
    request = models.CharField(max_length=64, null=True)
    # Events of one submit share it, whatever their streams.
    submission = models.UUIDField(db_index=True)
    effects = models.JSONField()
    # The encoded delta of an environment's ruleset; null where the stream has no ruleset.
    delta = models.BinaryField(null=True)
    canonical = models.BinaryField()
    previous_hash = models.CharField(max_length=64, blank=True)
    hash = models.CharField(max_length=64, unique=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["stream", "version"], name="audit_event_one_per_version"
            ),
            models.CheckConstraint(
                name="audit_event_version_from_1", condition=models.Q(version__gte=1)
            ),
        ]
        indexes = [
            GinIndex(name="audit_event_effects", fields=["effects"], opclasses=["jsonb_path_ops"]),
            models.Index(name="audit_event_by_actor", fields=["actor", "-at"]),
            models.Index(
                name="audit_event_by_request",
                fields=["request"],
                condition=models.Q(request__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.stream_id}@{self.version}"

    @property
    def digest(self) -> str:
        return self.hash[:16]


class Statement(models.Model):
    """What all streams ended at, at one instant, signed; the database refuses to change it.

    `canonical` is what was signed: the number, the hash of the statement before, and each stream's
    version and head. Who keeps a copy elsewhere can tell a log that was rewritten or cut off.
    """

    number = models.PositiveBigIntegerField(primary_key=True)
    at = models.DateTimeField()
    # The public key, in hexadecimal.
    key = models.CharField(max_length=64)
    canonical = models.BinaryField()
    hash = models.CharField(max_length=64, unique=True)
    signature = models.CharField(max_length=128)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="audit_statement_number_from_1", condition=models.Q(number__gte=1)
            )
        ]

    def __str__(self) -> str:
        return f"statement {self.number}"


class Archive(models.Model):
    """A span of a stream whose events are in a file and no longer in the database.

    With `previous_hash` and `last_hash` the chain goes on over the gap.
    """

    stream = models.ForeignKey(Stream, on_delete=models.PROTECT, related_name="archives")
    first = models.PositiveBigIntegerField()
    last = models.PositiveBigIntegerField()
    previous_hash = models.CharField(max_length=64, blank=True)
    last_hash = models.CharField(max_length=64)
    at = models.DateTimeField()
    file = models.CharField(max_length=300)
    file_sha256 = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["stream", "first"], name="audit_archive_one_per_span"),
            models.CheckConstraint(
                name="audit_archive_last_after_first",
                condition=models.Q(first__gte=1, last__gte=models.F("first")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.stream_id}@{self.first}-{self.last}"


class OutboxEntry(models.Model):
    """An event that a subscriber has not had yet. The row goes when the subscriber has it."""

    event = models.ForeignKey(Event, on_delete=models.PROTECT, related_name="outbox")
    subscriber = models.CharField(max_length=100)
    stream = models.CharField(max_length=100)
    version = models.PositiveBigIntegerField()
    attempts = models.PositiveIntegerField(default=0)
    not_before = models.DateTimeField(null=True)
    last_error = models.TextField(blank=True)

    class Meta:
        verbose_name_plural = "outbox entries"
        constraints = [
            models.UniqueConstraint(
                fields=["subscriber", "stream", "version"], name="audit_outbox_once_per_subscriber"
            )
        ]

    def __str__(self) -> str:
        return f"{self.subscriber} {self.stream}@{self.version}"
