"""Charges, and lines that no plan priced. What was issued of a charge never changes, whoever asks."""

import billing.invoicing.charges.domain
import billing.invoicing.domain
import django.db.models.deletion
import kernel.ids
from django.db import migrations, models

_GUARD = """
CREATE FUNCTION billing_guard_charge() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state <> 'draft' THEN
        RAISE EXCEPTION 'charge % is concluded: it can not change', OLD.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    IF (NEW.id, NEW.tenant_id, NEW.kind, NEW.reference)
       IS DISTINCT FROM (OLD.id, OLD.tenant_id, OLD.kind, OLD.reference) THEN
        RAISE EXCEPTION 'charge %: its tenant, kind and reference can not change', OLD.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_charge_guard BEFORE UPDATE OR DELETE ON billing_charge
    FOR EACH ROW EXECUTE FUNCTION billing_guard_charge();
CREATE TRIGGER billing_charge_no_truncate BEFORE TRUNCATE ON billing_charge
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();
"""
_UNDO_GUARD = """
DROP FUNCTION billing_guard_charge() CASCADE;
DROP TRIGGER billing_charge_no_truncate ON billing_charge;
"""
_KEY = """
ALTER TABLE billing_charge ADD CONSTRAINT billing_charge_invoice_id_of_tenant
    FOREIGN KEY (tenant_id, invoice_id) REFERENCES billing_invoice (tenant_id, id)
    DEFERRABLE INITIALLY IMMEDIATE;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0028_posted_whole"),
        ("tenants", "0004_taxes"),
    ]

    operations = [
        migrations.AlterField(
            model_name="invoice",
            name="kind",
            field=models.CharField(
                choices=[
                    ("subscription", "subscription"),
                    ("change", "change"),
                    ("final", "final"),
                    ("late", "late"),
                    ("one_off", "one_off"),
                    ("milestone", "milestone"),
                    ("licence", "licence"),
                    ("true_up", "true_up"),
                    ("top_up", "top_up"),
                ],
                default=billing.invoicing.domain.InvoiceKind["SUBSCRIPTION"],
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="invoiceline",
            name="plan_version",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="billing.planversion",
            ),
        ),
        migrations.CreateModel(
            name="Charge",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kernel.ids.new_id, primary_key=True, serialize=False),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("one_off", "one_off"),
                            ("milestone", "milestone"),
                            ("licence", "licence"),
                            ("true_up", "true_up"),
                            ("top_up", "top_up"),
                        ],
                        max_length=16,
                    ),
                ),
                ("reference", models.CharField(max_length=100)),
                ("currency", models.CharField(max_length=3)),
                ("lines", models.JSONField()),
                ("issue_at", models.DateTimeField(null=True)),
                ("days_to_pay", models.PositiveSmallIntegerField(default=15)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("draft", "draft"),
                            ("issued", "issued"),
                            ("nothing_due", "nothing_due"),
                        ],
                        default=billing.invoicing.charges.domain.ChargeState["DRAFT"],
                        max_length=16,
                    ),
                ),
                ("fault_code", models.CharField(blank=True, max_length=100)),
                ("fault_detail", models.TextField(blank=True)),
                ("created_by", models.CharField(max_length=200)),
                ("created_at", models.DateTimeField()),
                ("concluded_at", models.DateTimeField(null=True)),
                (
                    "invoice",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.invoice",
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
                    models.Index(
                        condition=models.Q(("state", "draft")),
                        fields=["issue_at", "id"],
                        name="billing_charge_due",
                    ),
                    models.Index(fields=["tenant", "-created_at"], name="billing_charge_recent"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "id"), name="billing_charge_tenant_id"
                    ),
                    models.UniqueConstraint(
                        fields=("tenant", "reference"), name="billing_charge_reference_once"
                    ),
                    models.UniqueConstraint(
                        fields=("tenant", "invoice"), name="billing_charge_invoice_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("kind__in", ["one_off", "milestone", "licence", "true_up", "top_up"]),
                            models.Q(
                                models.Q(
                                    ("concluded_at__isnull", True),
                                    ("invoice__isnull", True),
                                    ("state", "draft"),
                                ),
                                models.Q(
                                    ("concluded_at__isnull", False),
                                    ("invoice__isnull", False),
                                    ("state", "issued"),
                                ),
                                models.Q(
                                    ("concluded_at__isnull", False),
                                    ("invoice__isnull", True),
                                    ("state", "nothing_due"),
                                ),
                                _connector="OR",
                            ),
                        ),
                        name="billing_charge_state",
                    ),
                ],
            },
        ),
        migrations.RunSQL(
            _KEY, "ALTER TABLE billing_charge DROP CONSTRAINT billing_charge_invoice_id_of_tenant"
        ),
        migrations.RunSQL(_GUARD, _UNDO_GUARD),
    ]
