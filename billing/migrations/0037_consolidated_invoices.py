"""Invoices that consolidate the documents of several subscriptions, and what the database holds of them.

The documents keep their rows, and with them the unique key (tenant, subscription, kind, boundary): no
period is billed twice by itself and within a consolidated invoice. When that is issued, each of its lines is of a
subscription whose document it took, and none of these has a line left.
"""

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models

import billing.invoicing.domain

# The columns are new and empty, so that there is nothing to look at.
_HELD = """
ALTER TABLE billing_invoice ADD CONSTRAINT billing_invoice_consolidated_into_id_of_tenant
    FOREIGN KEY (tenant_id, consolidated_into_id) REFERENCES billing_invoice (tenant_id, id)
    DEFERRABLE INITIALLY IMMEDIATE NOT VALID;
ALTER TABLE billing_invoice ADD CONSTRAINT billing_invoice_consolidated CHECK (
    (kind <> 'consolidated' OR subscription_id IS NULL)
    AND (consolidated_into_id IS NULL
         OR kind = 'subscription' AND status = 'void' AND number IS NULL)) NOT VALID;

CREATE FUNCTION billing_require_sections() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM billing_invoiceline l
         WHERE l.tenant_id = NEW.tenant_id AND l.invoice_id = NEW.id AND NOT EXISTS (
               SELECT 1 FROM billing_invoice m
                WHERE m.tenant_id = l.tenant_id AND m.subscription_id = l.subscription_id
                  AND m.kind = 'subscription' AND m.boundary_at = NEW.boundary_at
                  AND m.consolidated_into_id = NEW.id)
        UNION ALL
        SELECT 1 FROM billing_invoice m
          JOIN billing_invoiceline l ON l.tenant_id = m.tenant_id AND l.invoice_id = m.id
         WHERE m.tenant_id = NEW.tenant_id AND m.consolidated_into_id = NEW.id) THEN
        RAISE EXCEPTION 'invoice % has lines that are not those of its documents', NEW.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER billing_invoice_sections AFTER UPDATE ON billing_invoice FOR EACH ROW
    WHEN (NEW.kind = 'consolidated' AND OLD.status = 'draft' AND NEW.status <> 'draft')
    EXECUTE FUNCTION billing_require_sections();
"""
_UNDO_HELD = """
DROP FUNCTION billing_require_sections() CASCADE;
ALTER TABLE billing_invoice DROP CONSTRAINT billing_invoice_consolidated;
ALTER TABLE billing_invoice DROP CONSTRAINT billing_invoice_consolidated_into_id_of_tenant;
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("billing", "0036_proformas"),
        ("tenants", "0006_consolidation"),
    ]

    operations: ClassVar = [
        migrations.AddField(
            model_name="invoice",
            name="consolidated_into",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="consolidates",
                to="billing.invoice",
            ),
        ),
        migrations.AddField(
            model_name="invoiceline",
            name="subscription",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="billing.subscription",
            ),
        ),
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
                    ("consolidated", "consolidated"),
                ],
                default=billing.invoicing.domain.InvoiceKind["SUBSCRIPTION"],
                max_length=16,
            ),
        ),
        migrations.RunSQL(_HELD, _UNDO_HELD),
    ]
