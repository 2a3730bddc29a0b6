from django.db import migrations, models

FORWARD = """
CREATE FUNCTION audit_row_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are final: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER audit_statement_refuses_change
    BEFORE UPDATE OR DELETE ON audit_statement
    FOR EACH ROW EXECUTE FUNCTION audit_row_is_final();
CREATE TRIGGER audit_statement_refuses_truncate
    BEFORE TRUNCATE ON audit_statement
    FOR EACH STATEMENT EXECUTE FUNCTION audit_row_is_final();
"""

BACKWARD = """
DROP TRIGGER audit_statement_refuses_truncate ON audit_statement;
DROP TRIGGER audit_statement_refuses_change ON audit_statement;
DROP FUNCTION audit_row_is_final();
"""


class Migration(migrations.Migration):
    """Signed statements, as final as events are."""

    dependencies = [("audit", "0005_events_are_found_by_actor_and_request")]
    operations = [
        migrations.CreateModel(
            name="Statement",
            fields=[
                ("number", models.PositiveBigIntegerField(primary_key=True, serialize=False)),
                ("at", models.DateTimeField()),
                ("key", models.CharField(max_length=64)),
                ("canonical", models.BinaryField()),
                ("hash", models.CharField(max_length=64, unique=True)),
                ("signature", models.CharField(max_length=128)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("number__gte", 1)),
                        name="audit_statement_number_from_1",
                    )
                ],
            },
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
