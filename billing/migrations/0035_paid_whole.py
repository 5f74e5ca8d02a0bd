"""An invoice is paid when nothing of its total is left, and not before, whoever says so."""

from django.db import migrations, models
from django.db.models import F, Q


class Migration(migrations.Migration):
    dependencies = [("billing", "0034_retention")]

    operations = [
        migrations.AddConstraint(
            model_name="invoice",
            constraint=models.CheckConstraint(
                condition=~Q(status="paid") | Q(paid_minor=F("total_minor")),
                name="billing_invoice_paid_whole",
            ),
        ),
    ]
