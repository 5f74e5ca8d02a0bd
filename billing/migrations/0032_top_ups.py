"""An account for top-ups that are billed and not paid yet."""

from django.db import migrations, models

from billing.ledger.domain import CHART


def _fill(apps, schema_editor):  # type: ignore[no-untyped-def]  # Django's signature
    """The accounts that the chart has gained."""
    alias = schema_editor.connection.alias
    account = apps.get_model("billing", "LedgerAccount")
    for code, kind in CHART.items():
        account.objects.using(alias).get_or_create(code=code.value, defaults={"kind": kind.value})


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0031_statements"),
    ]

    operations = [
        migrations.AlterField(
            model_name="ledgeraccount",
            name="code",
            field=models.CharField(
                choices=[
                    ("receivable", "receivable"),
                    ("bank", "bank"),
                    ("stripe_clearing", "stripe_clearing"),
                    ("customer_credit", "customer_credit"),
                    ("top_ups_due", "top_ups_due"),
                    ("gift_credit", "gift_credit"),
                    ("voucher_credit", "voucher_credit"),
                    ("promotion", "promotion"),
                    ("deferred_revenue", "deferred_revenue"),
                    ("revenue", "revenue"),
                    ("tax_payable", "tax_payable"),
                ],
                max_length=32,
                primary_key=True,
                serialize=False,
            ),
        ),
        migrations.RunPython(_fill, migrations.RunPython.noop),
    ]
