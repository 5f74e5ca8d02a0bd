"""Pro-formas: kept as they were printed, never changed."""

import django.db.models.deletion
import kernel.ids
from django.db import migrations, models


_GUARD = """
CREATE TRIGGER billing_proforma_append_only BEFORE UPDATE OR DELETE ON billing_proforma
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER billing_proforma_no_truncate BEFORE TRUNCATE ON billing_proforma
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();
"""
_UNDO_GUARD = """
DROP TRIGGER billing_proforma_append_only ON billing_proforma;
DROP TRIGGER billing_proforma_no_truncate ON billing_proforma;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0035_paid_whole"),
        ("tenants", "0004_taxes"),
    ]

    operations = [
        migrations.CreateModel(
            name="Proforma",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kernel.ids.new_id, primary_key=True, serialize=False),
                ),
                ("reference", models.CharField(max_length=30)),
                ("charge_id", models.UUIDField(null=True)),
                ("subscription_id", models.UUIDField(null=True)),
                ("currency", models.CharField(max_length=3)),
                ("tax_minor", models.BigIntegerField()),
                ("total_minor", models.BigIntegerField()),
                ("language", models.CharField(max_length=16)),
                ("valid_until", models.DateField()),
                ("content", models.BinaryField()),
                ("sha256", models.BinaryField(max_length=32)),
                ("created_by", models.CharField(max_length=200)),
                ("created_at", models.DateTimeField()),
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
                    models.Index(fields=["tenant", "-created_at"], name="billing_proforma_recent")
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "reference"), name="billing_proforma_reference_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("charge_id__isnull", False), ("subscription_id__isnull", True)
                            ),
                            models.Q(
                                ("charge_id__isnull", True), ("subscription_id__isnull", False)
                            ),
                            _connector="OR",
                        ),
                        name="billing_proforma_of_one",
                    ),
                ],
            },
        ),
        migrations.RunSQL(_GUARD, _UNDO_GUARD),
    ]
