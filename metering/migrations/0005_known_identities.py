"""Events that were stored before are known under their identity too."""

from django.db import migrations

COPY = """
INSERT INTO metering_event_identity (identity, tenant_id, digest, received_at)
SELECT encode(substring(sha256(
           convert_to(source, 'UTF8') || '\\x00'::bytea || convert_to(event_id, 'UTF8')
       ) FROM 1 FOR 16), 'hex')::uuid,
       tenant_id, encode(digest, 'hex')::uuid, received_at
  FROM metering_event_key
ON CONFLICT DO NOTHING
"""


class Migration(migrations.Migration):
    dependencies = [("metering", "0004_event_groups")]  # Django's own shape

    operations = [migrations.RunSQL(COPY, migrations.RunSQL.noop)]  # Django's own shape
