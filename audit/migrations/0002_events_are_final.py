from django.db import migrations

FORWARD = """
CREATE FUNCTION audit_event_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are final: % of audit_event is refused', TG_OP
        USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER audit_event_refuses_change
    BEFORE UPDATE OR DELETE ON audit_event
    FOR EACH ROW EXECUTE FUNCTION audit_event_is_final();
CREATE TRIGGER audit_event_refuses_truncate
    BEFORE TRUNCATE ON audit_event
    FOR EACH STATEMENT EXECUTE FUNCTION audit_event_is_final();
"""

BACKWARD = """
DROP TRIGGER audit_event_refuses_truncate ON audit_event;
DROP TRIGGER audit_event_refuses_change ON audit_event;
DROP FUNCTION audit_event_is_final();
"""


class Migration(migrations.Migration):
    """Update, delete and truncate of events are refused by the database, not only by Django."""

    dependencies = [("audit", "0001_log")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
