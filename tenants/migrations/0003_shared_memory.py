"""A table that web processes share: limits of tries to sign in."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("tenants", "0002_guards")]

    operations: ClassVar = [
        migrations.CreateModel(
            name="SharedMemory",
            fields=[
                ("cache_key", models.CharField(max_length=255, primary_key=True, serialize=False)),
                ("value", models.TextField()),
                ("expires", models.DateTimeField(db_index=True)),
            ],
            options={"db_table": "tenants_shared_memory"},
        ),
    ]
