"""Guards that look at all rows of an insert at once, and keys that another key implies.

Billing writes thousands of lines and entries in one statement: a trigger and a key for each row cost more
than the rows. What is refused stays the same; an unbalanced transaction is refused where it is
inserted, since all its entries come in one statement.

- The key (tenant, invoice) of a line implies its invoice and its tenant, the key (tenant, transaction) of
  an entry its transaction and its tenant, the key (tenant, subscription) of an invoice its subscription.
"""

import django.db.models.deletion
from django.db import migrations, models

_LINES = """
CREATE FUNCTION billing_guard_new_lines() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    of_invoice uuid;
BEGIN
    SELECT i.id INTO of_invoice
      FROM (SELECT DISTINCT tenant_id, invoice_id FROM added) AS l
      JOIN billing_invoice i ON i.tenant_id = l.tenant_id AND i.id = l.invoice_id
     WHERE i.status <> 'draft' LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'invoice % is issued: its lines can not change', of_invoice
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER billing_invoiceline_guard_new AFTER INSERT ON billing_invoiceline
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION billing_guard_new_lines();
DROP TRIGGER billing_invoiceline_guard ON billing_invoiceline;
CREATE TRIGGER billing_invoiceline_guard BEFORE UPDATE OR DELETE ON billing_invoiceline
    FOR EACH ROW EXECUTE FUNCTION billing_guard_invoice_line();
"""
_UNDO_LINES = """
DROP TRIGGER billing_invoiceline_guard ON billing_invoiceline;
CREATE TRIGGER billing_invoiceline_guard BEFORE INSERT OR UPDATE OR DELETE ON billing_invoiceline
    FOR EACH ROW EXECUTE FUNCTION billing_guard_invoice_line();
DROP FUNCTION billing_guard_new_lines() CASCADE;
"""

_BALANCE = """
CREATE FUNCTION billing_require_balance_of_new() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    unbalanced uuid;
BEGIN
    SELECT e.transaction_id INTO unbalanced
      FROM (SELECT DISTINCT transaction_id FROM added) AS t
      JOIN billing_journalentry e USING (transaction_id)
     GROUP BY e.transaction_id, e.currency HAVING sum(e.amount_minor) <> 0 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal transaction % does not balance', unbalanced
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER billing_journalentry_balance_new AFTER INSERT ON billing_journalentry
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT
    EXECUTE FUNCTION billing_require_balance_of_new();
DROP TRIGGER billing_journalentry_balance ON billing_journalentry;
"""
_UNDO_BALANCE = """
DROP FUNCTION billing_require_balance_of_new() CASCADE;
CREATE CONSTRAINT TRIGGER billing_journalentry_balance AFTER INSERT ON billing_journalentry
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_require_balance();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0020_run_in_ranges"),
        ("tenants", "0004_taxes"),
    ]

    operations = [
        migrations.RunSQL(_LINES, _UNDO_LINES),
        migrations.RunSQL(_BALANCE, _UNDO_BALANCE),
        migrations.AlterField(
            model_name="invoice",
            name="subscription",
            field=models.ForeignKey(
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="invoices",
                to="billing.subscription",
            ),
        ),
        migrations.AlterField(
            model_name="invoiceline",
            name="invoice",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="lines",
                to="billing.invoice",
            ),
        ),
        migrations.AlterField(
            model_name="invoiceline",
            name="tenant",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="tenants.tenant",
            ),
        ),
        migrations.AlterField(
            model_name="journalentry",
            name="tenant",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="tenants.tenant",
            ),
        ),
        migrations.AlterField(
            model_name="journalentry",
            name="transaction",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="entries",
                to="billing.journaltransaction",
            ),
        ),
    ]
