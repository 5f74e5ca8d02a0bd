"""Dry runs: what a billing run would come to, beside what was billed before. Only additions."""

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models

import kernel.ids

_REASONS = ["new", "gone", "ended", "plan_changed", "usage", "other", "unchanged"]


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("billing", "0037_consolidated_invoices"),
        ("tenants", "0006_consolidation"),
    ]

    operations: ClassVar = [
        migrations.AddField(
            model_name="billingrun",
            name="dry",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.CreateModel(
            name="ExpectedTotal",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kernel.ids.new_id, primary_key=True, serialize=False),
                ),
                ("currency", models.CharField(max_length=3)),
                ("documents", models.IntegerField()),
                ("total_minor", models.BigIntegerField()),
                ("before_documents", models.IntegerField()),
                ("before_minor", models.BigIntegerField()),
                (
                    "reason",
                    models.CharField(choices=[(each, each) for each in _REASONS], max_length=16),
                ),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.billingrun",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["run", "currency"], name="billing_exp_run_id_41e676_idx")
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "run", "currency"), name="billing_expected_total_once"
                    )
                ],
            },
        ),
    ]
