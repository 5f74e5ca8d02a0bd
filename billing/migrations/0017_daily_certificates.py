"""Daily certificates: the table, and that its rows are never changed."""

from typing import ClassVar

import billing.certificates.domain
import kernel.ids
from django.db import migrations, models

_GUARDS = """
CREATE TRIGGER billing_certificate_append_only BEFORE UPDATE OR DELETE ON billing_certificate
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER billing_certificate_no_truncate BEFORE TRUNCATE ON billing_certificate
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();
"""
_UNGUARD = """
DROP TRIGGER billing_certificate_append_only ON billing_certificate;
DROP TRIGGER billing_certificate_no_truncate ON billing_certificate;
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("billing", "0016_discounts"),
    ]

    operations: ClassVar = [
        migrations.CreateModel(
            name="Certificate",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kernel.ids.new_id, primary_key=True, serialize=False),
                ),
                ("day", models.DateField()),
                ("version", models.IntegerField()),
                (
                    "state",
                    models.CharField(
                        choices=[("agreed", "agreed"), ("drifted", "drifted")], max_length=16
                    ),
                ),
                ("document", models.JSONField()),
                ("text", models.TextField()),
                ("public_key", models.BinaryField(max_length=32)),
                ("signature", models.BinaryField(max_length=64)),
                ("made_at", models.DateTimeField()),
            ],
            options={
                "indexes": [
                    models.Index(fields=["-day", "-version"], name="billing_cer_day_abe6a6_idx")
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("day", "version"), name="billing_certificate_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "state__in",
                                [
                                    billing.certificates.domain.CertificateState["AGREED"],
                                    billing.certificates.domain.CertificateState["DRIFTED"],
                                ],
                            ),
                            ("version__gte", 1),
                        ),
                        name="billing_certificate_state",
                    ),
                ],
            },
        ),
        migrations.RunSQL(_GUARDS, _UNGUARD),
    ]
