"""Invoices keep who issued them, as it stood then."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("billing", "0023_accounting_periods")]

    operations: ClassVar = [
        migrations.AddField(model_name="invoice", name="issuer", field=models.JSONField(null=True)),
    ]
