import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


# What `write` allowed was to propose and to apply; who could do both still can.
SPLIT = """
    UPDATE flags_apitoken
    SET scopes = ARRAY(SELECT DISTINCT named FROM unnest(array_replace(scopes, 'write', 'apply')
        || '{propose}'::varchar[]) AS named ORDER BY named)
    WHERE 'write' = ANY (scopes)
"""
JOIN = """
    UPDATE flags_apitoken
    SET scopes = ARRAY(SELECT DISTINCT named FROM unnest(array_replace(array_replace(
        scopes, 'apply', 'write'), 'propose', 'write')) AS named ORDER BY named)
"""


class Migration(migrations.Migration):

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
        ('flags', '0006_notices_and_mail'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='apitoken',
            name='flags_api_token_scopes_are_known',
        ),
        migrations.AddField(
            model_name='apitoken',
            name='made_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='tokens_made', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='apitoken',
            name='told_days_left',
            field=models.PositiveSmallIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='user',
            name='service_of',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='services', to='flags.project'),
        ),
        migrations.RunSQL(SPLIT, JOIN),
        migrations.AddConstraint(
            model_name='apitoken',
            constraint=models.CheckConstraint(condition=models.Q(('scopes__contained_by', ['read', 'propose', 'apply', 'review', 'admin']), ('scopes__len__gte', 1)), name='flags_api_token_scopes_are_known'),
        ),
        migrations.AddConstraint(
            model_name='user',
            constraint=models.CheckConstraint(condition=models.Q(('service_of', None), models.Q(('email', ''), ('is_staff', False), ('is_superuser', False), ('password__startswith', '!')), _connector='OR'), name='flags_user_service_never_signs_in'),
        ),
    ]
