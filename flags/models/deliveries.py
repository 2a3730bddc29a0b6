"""Who is connected, and which version reached whom how fast: telemetry, not part of any ruleset."""

import uuid

from django.db import models

from flags.models.environments import Environment


class Instance(models.Model):
    """One connected client, as it named itself; its newest receipt is `version`."""

    id = models.BigAutoField(primary_key=True)
    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="instances")
    instance = models.UUIDField()
    kind = models.CharField(max_length=10)
    name = models.CharField(max_length=200, blank=True)
    sdk = models.CharField(max_length=100, blank=True)
    version = models.PositiveBigIntegerField(null=True)
    receipt_at = models.DateTimeField(null=True)
    connected_at = models.DateTimeField()
    # Null while it is connected; a process that died leaves `seen_at` behind instead.
    disconnected_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["environment", "instance"], name="flags_instance_one_row"
            )
        ]

    def __str__(self) -> str:
        return self.name or str(self.instance)


class Delivery(models.Model):
    """How one version of an environment travelled.

    `expected` is the number of server-key instances connected when it was committed. `histogram`
    counts receipts by time since the commit: `{"≤ milliseconds": how many}`, bounds as text.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    environment = models.ForeignKey(
        Environment, on_delete=models.CASCADE, related_name="deliveries"
    )
    version = models.PositiveBigIntegerField()
    committed_at = models.DateTimeField()
    expected = models.PositiveIntegerField(default=0)
    receipts = models.PositiveIntegerField(default=0)
    client_receipts = models.PositiveIntegerField(default=0)
    histogram = models.JSONField(default=dict)

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(
                fields=["environment", "version"], name="flags_delivery_one_per_version"
            )
        ]

    def __str__(self) -> str:
        return f"{self.environment_id}@{self.version}"
