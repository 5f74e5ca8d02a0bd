"""What people had corrected by hand before it was kept as raw data of the day."""

from django.db import migrations

APPLIED = """
-- The last value that was approved holds, above what the events alone came to by then.
INSERT INTO metering_stated_usage (
    tenant_id, app_id, meter, day, kind, value, counted, stated_at, id)
SELECT tenant_id, app_id, meter, day, kind, last, last - changed, decided_at, gen_random_uuid()
  FROM (
    SELECT tenant_id, app_id, meter, day, kind, max(decided_at) AS decided_at,
           (array_agg(value ORDER BY decided_at DESC))[1] AS last,
           sum(value - value_before) AS changed
      FROM metering_correction_request WHERE state = 'applied'
     GROUP BY tenant_id, app_id, meter, day, kind
  ) AS applied
ON CONFLICT DO NOTHING;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0019_marks_of_late"),
    ]

    operations = [migrations.RunSQL(APPLIED, migrations.RunSQL.noop)]
