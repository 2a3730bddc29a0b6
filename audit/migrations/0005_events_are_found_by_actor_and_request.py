import django.db.models.deletion
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Built beside the running writers, outside any transaction."""

    atomic = False
    dependencies = [("audit", "0004_plurals_as_people_write_them")]
    operations = [
        AddIndexConcurrently(
            "event", models.Index(fields=["actor", "-at"], name="audit_event_by_actor")
        ),
        AddIndexConcurrently(
            "event",
            models.Index(
                condition=models.Q(("request__isnull", False)),
                fields=["request"],
                name="audit_event_by_request",
            ),
        ),
        migrations.AlterField(
            "event",
            "actor",
            models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="events",
                to="audit.person",
            ),
        ),
    ]
