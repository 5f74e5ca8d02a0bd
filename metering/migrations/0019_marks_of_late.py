import django.contrib.postgres.indexes
import django.db.models.functions.datetime
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    # The index is made without keeping writers waiting.
    atomic = False

    dependencies = [
        ("metering", "0018_sealed_usage"),
    ]

    operations = [
        migrations.AddField(
            model_name="activeuser",
            name="marked_at",
            # The same for all rows that are there, which are not rewritten.
            field=models.DateTimeField(
                db_default=django.db.models.functions.datetime.Now(), null=True
            ),
        ),
        migrations.AddField(
            model_name="monthday",
            name="gathered_at",
            field=models.DateTimeField(null=True),
        ),
        AddIndexConcurrently(
            model_name="activeuser",
            index=django.contrib.postgres.indexes.BrinIndex(
                autosummarize=True,
                fields=["marked_at"],
                name="metering_active_user_marked",
            ),
        ),
    ]
