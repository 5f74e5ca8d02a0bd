"""Billing runs can be paused and cancelled, tell how fast they are, and try parked tenants again."""

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models

import billing.invoicing.domain

_STATES = ["queued", "running", "paused", "done", "failed", "cancelled"]


class Migration(migrations.Migration):
    dependencies: ClassVar = [("billing", "0029_charges")]

    operations: ClassVar = [
        migrations.RemoveConstraint(model_name="billingrun", name="billing_run_state"),
        migrations.AddField(
            model_name="billingrun", name="measured_from", field=models.DateTimeField(null=True)
        ),
        migrations.AddField(
            model_name="billingrun",
            name="measured_ranges",
            field=models.IntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="billingrun",
            name="retry_of",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="billing.billingrun",
            ),
        ),
        migrations.AlterField(
            model_name="billingrun",
            name="state",
            field=models.CharField(
                choices=[(state, state) for state in _STATES],
                default=billing.invoicing.domain.RunState["QUEUED"],
                max_length=16,
            ),
        ),
        migrations.AddConstraint(
            model_name="billingrun",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("state__in", [billing.invoicing.domain.RunState(state) for state in _STATES])
                ),
                name="billing_run_state",
            ),
        ),
    ]
