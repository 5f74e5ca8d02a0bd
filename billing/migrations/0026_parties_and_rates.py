"""Seller and buyer as an invoice must name them, and exchange rates by which its tax is told in another
currency. Only additions: the version before runs on beside them."""

from typing import ClassVar

import django.db.models.deletion
import kernel.clock
import kernel.ids
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("billing", "0025_several_subscriptions"),
        ("tenants", "0004_taxes"),
    ]

    operations: ClassVar = [
        migrations.AddField(
            model_name="creditnote",
            name="issuer",
            field=models.JSONField(null=True),
        ),
        migrations.AddField(
            model_name="creditnote",
            name="national_tax",
            field=models.JSONField(null=True),
        ),
        migrations.AddField(
            model_name="invoice",
            name="national_tax",
            field=models.JSONField(null=True),
        ),
        migrations.AddField(
            model_name="seller",
            name="bic",
            field=models.CharField(blank=True, db_default="", default="", max_length=11),
        ),
        migrations.AddField(
            model_name="seller",
            name="city",
            field=models.CharField(blank=True, db_default="", default="", max_length=100),
        ),
        migrations.AddField(
            model_name="seller",
            name="email",
            field=models.CharField(blank=True, db_default="", default="", max_length=254),
        ),
        migrations.AddField(
            model_name="seller",
            name="endpoint_id",
            field=models.CharField(blank=True, db_default="", default="", max_length=100),
        ),
        migrations.AddField(
            model_name="seller",
            name="endpoint_scheme",
            field=models.CharField(blank=True, db_default="", default="", max_length=4),
        ),
        migrations.AddField(
            model_name="seller",
            name="iban",
            field=models.CharField(blank=True, db_default="", default="", max_length=64),
        ),
        migrations.AddField(
            model_name="seller",
            name="postal_code",
            field=models.CharField(blank=True, db_default="", default="", max_length=20),
        ),
        migrations.AddField(
            model_name="seller",
            name="registration_id",
            field=models.CharField(blank=True, db_default="", default="", max_length=64),
        ),
        migrations.AddField(
            model_name="seller",
            name="representative_city",
            field=models.CharField(blank=True, db_default="", default="", max_length=100),
        ),
        migrations.AddField(
            model_name="seller",
            name="representative_country",
            field=models.CharField(blank=True, db_default="", default="", max_length=2),
        ),
        migrations.AddField(
            model_name="seller",
            name="representative_name",
            field=models.CharField(blank=True, db_default="", default="", max_length=200),
        ),
        migrations.AddField(
            model_name="seller",
            name="representative_postal_code",
            field=models.CharField(blank=True, db_default="", default="", max_length=20),
        ),
        migrations.AddField(
            model_name="seller",
            name="representative_street",
            field=models.CharField(blank=True, db_default="", default="", max_length=200),
        ),
        migrations.AddField(
            model_name="seller",
            name="representative_tax_id",
            field=models.CharField(blank=True, db_default="", default="", max_length=64),
        ),
        migrations.AddField(
            model_name="seller",
            name="street",
            field=models.CharField(blank=True, db_default="", default="", max_length=200),
        ),
        migrations.AddField(
            model_name="seller",
            name="subdivision",
            field=models.CharField(blank=True, db_default="", default="", max_length=100),
        ),
        migrations.CreateModel(
            name="BillingProfile",
            fields=[
                (
                    "tenant",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="tenants.tenant",
                    ),
                ),
                ("legal_name", models.CharField(blank=True, default="", max_length=200)),
                ("street", models.CharField(blank=True, default="", max_length=200)),
                ("city", models.CharField(blank=True, default="", max_length=100)),
                ("postal_code", models.CharField(blank=True, default="", max_length=20)),
                ("subdivision", models.CharField(blank=True, default="", max_length=100)),
                ("registration_id", models.CharField(blank=True, default="", max_length=64)),
                ("endpoint_scheme", models.CharField(blank=True, default="", max_length=4)),
                ("endpoint_id", models.CharField(blank=True, default="", max_length=100)),
                ("contact_email", models.CharField(blank=True, default="", max_length=254)),
                ("reference", models.CharField(blank=True, default="", max_length=100)),
                ("order_number", models.CharField(blank=True, default="", max_length=100)),
                ("exemption_reason", models.CharField(blank=True, default="", max_length=300)),
                ("exemption_code", models.CharField(blank=True, default="", max_length=30)),
                ("changed_at", models.DateTimeField(default=kernel.clock.now)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("endpoint_id", ""), ("endpoint_scheme", "")),
                            models.Q(
                                models.Q(("endpoint_scheme", ""), _negated=True),
                                models.Q(("endpoint_id", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="billing_profile_endpoint",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ExchangeRate",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kernel.ids.new_id, primary_key=True, serialize=False),
                ),
                ("base", models.CharField(max_length=3)),
                ("quote", models.CharField(max_length=3)),
                ("on", models.DateField()),
                ("rate", models.DecimalField(decimal_places=12, max_digits=30)),
                ("source", models.CharField(max_length=100)),
                ("entered_at", models.DateTimeField(default=kernel.clock.now)),
            ],
            options={
                "indexes": [models.Index(fields=["on"], name="billing_exchange_rate_day")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("base", "quote", "on"), name="billing_exchange_rate_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("rate__gt", 0),
                            models.Q(("base", models.F("quote")), _negated=True),
                            models.Q(("source", ""), _negated=True),
                        ),
                        name="billing_exchange_rate_positive",
                    ),
                ],
            },
        ),
    ]
