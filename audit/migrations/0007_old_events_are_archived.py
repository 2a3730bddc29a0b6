import django.db.models.deletion
from django.db import migrations, models

# One role may remove events, and only those that a row of the archive speaks of. Nobody signs in
# as it; `manage.py archive_events` takes it on for the one statement that needs it.
FORWARD = """
CREATE TRIGGER audit_archive_refuses_change
    BEFORE UPDATE OR DELETE ON audit_archive
    FOR EACH ROW EXECUTE FUNCTION audit_row_is_final();
CREATE TRIGGER audit_archive_refuses_truncate
    BEFORE TRUNCATE ON audit_archive
    FOR EACH STATEMENT EXECUTE FUNCTION audit_row_is_final();

CREATE OR REPLACE FUNCTION audit_event_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_user = 'flagsite_archivist' AND EXISTS (
        SELECT FROM audit_archive
        WHERE stream_id = OLD.stream_id AND OLD.version BETWEEN first AND last
    ) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'events are final: % of audit_event is refused', TG_OP
        USING ERRCODE = 'restrict_violation';
END
$$;
"""

BACKWARD = """
CREATE OR REPLACE FUNCTION audit_event_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are final: % of audit_event is refused', TG_OP
        USING ERRCODE = 'restrict_violation';
END
$$;
DROP TRIGGER audit_archive_refuses_truncate ON audit_archive;
DROP TRIGGER audit_archive_refuses_change ON audit_archive;
"""

# Roles belong to the whole server: another database of it may have made this one, even at this
# very moment. Where this user may make no roles, `archive_events` says what is to be done.
ROLE = """
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'flagsite_archivist') THEN
        BEGIN
            CREATE ROLE flagsite_archivist NOLOGIN;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END IF;
    GRANT SELECT, DELETE ON audit_event TO flagsite_archivist;
    GRANT SELECT ON audit_archive TO flagsite_archivist;
    GRANT flagsite_archivist TO CURRENT_USER;
EXCEPTION
    WHEN insufficient_privilege OR undefined_object THEN
        RAISE NOTICE 'flagsite_archivist is not set up: %', SQLERRM;
END
$$;
"""


class Migration(migrations.Migration):
    """Spans that are archived, and the one role that may remove what they hold."""

    dependencies = [("audit", "0006_heads_are_signed")]
    operations = [
        migrations.CreateModel(
            name="Archive",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("first", models.PositiveBigIntegerField()),
                ("last", models.PositiveBigIntegerField()),
                ("previous_hash", models.CharField(blank=True, max_length=64)),
                ("last_hash", models.CharField(max_length=64)),
                ("at", models.DateTimeField()),
                ("file", models.CharField(max_length=300)),
                ("file_sha256", models.CharField(max_length=64)),
                (
                    "stream",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="archives",
                        to="audit.stream",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("stream", "first"), name="audit_archive_one_per_span"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("first__gte", 1), ("last__gte", models.F("first"))),
                        name="audit_archive_last_after_first",
                    ),
                ],
            },
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
        migrations.RunSQL(ROLE, migrations.RunSQL.noop),
    ]
