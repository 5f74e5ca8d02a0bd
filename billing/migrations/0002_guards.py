"""What the database itself refuses, whoever asks (architecture: integrity in the database first).

- Plan versions, journal and issued documents are never changed or removed.
- An invoice's status moves along the transition table of `billing.invoicing.domain`.
- The entries of a journal transaction sum to zero per currency when the transaction commits.
- Foreign keys between tenants' rows carry the tenant, so no row points into another tenant.
"""

from typing import ClassVar

from django.db import migrations

from billing.ledger.domain import CHART

_REFUSE = """
CREATE FUNCTION billing_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: its rows are never changed', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
"""
_UNDO_REFUSE = "DROP FUNCTION billing_refuse_change() CASCADE;"

APPEND_ONLY = (
    "billing_planversion",
    "billing_journaltransaction",
    "billing_journalentry",
    "billing_invoicefile",
)


def _append_only(table: str) -> str:
    return f"""
CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();
"""


_INVOICE = """
CREATE FUNCTION billing_guard_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    frozen_before jsonb;
    frozen_after jsonb;
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.status <> 'draft' THEN
            RAISE EXCEPTION 'invoice % is issued and can not be deleted', OLD.id
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN OLD;
    END IF;
    IF NEW.status <> OLD.status AND NOT (
        (OLD.status = 'draft' AND NEW.status IN ('open', 'void'))
        OR (OLD.status = 'open' AND NEW.status IN ('paid', 'void', 'uncollectible'))
        OR (OLD.status = 'uncollectible' AND NEW.status = 'paid')) THEN
        RAISE EXCEPTION 'invoice % can not go from % to %', OLD.id, OLD.status, NEW.status
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.status <> 'draft' THEN
        frozen_before := to_jsonb(OLD) - 'status' - 'paid_minor' - 'paid_at';
        frozen_after := to_jsonb(NEW) - 'status' - 'paid_minor' - 'paid_at';
        IF frozen_before IS DISTINCT FROM frozen_after THEN
            RAISE EXCEPTION 'invoice % is issued: only its status and payment may change', OLD.id
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_invoice_guard BEFORE UPDATE OR DELETE ON billing_invoice
    FOR EACH ROW EXECUTE FUNCTION billing_guard_invoice();
CREATE TRIGGER billing_invoice_no_truncate BEFORE TRUNCATE ON billing_invoice
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();

CREATE FUNCTION billing_guard_invoice_line() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    of_invoice uuid;
    found_status text;
BEGIN
    FOREACH of_invoice IN ARRAY CASE TG_OP
        WHEN 'INSERT' THEN ARRAY[NEW.invoice_id]
        WHEN 'DELETE' THEN ARRAY[OLD.invoice_id]
        ELSE ARRAY[OLD.invoice_id, NEW.invoice_id] END
    LOOP
        SELECT status INTO found_status FROM billing_invoice WHERE id = of_invoice;
        IF found_status IS NOT NULL AND found_status <> 'draft' THEN
            RAISE EXCEPTION 'invoice % is issued: its lines can not change', of_invoice
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    END LOOP;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER billing_invoiceline_guard BEFORE INSERT OR UPDATE OR DELETE ON billing_invoiceline
    FOR EACH ROW EXECUTE FUNCTION billing_guard_invoice_line();
CREATE TRIGGER billing_invoiceline_no_truncate BEFORE TRUNCATE ON billing_invoiceline
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();
"""
_UNDO_INVOICE = """
DROP FUNCTION billing_guard_invoice() CASCADE;
DROP FUNCTION billing_guard_invoice_line() CASCADE;
"""

_BALANCE = """
CREATE FUNCTION billing_require_balance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM billing_journalentry WHERE transaction_id = NEW.transaction_id
                GROUP BY currency HAVING sum(amount_minor) <> 0) THEN
        RAISE EXCEPTION 'journal transaction % does not balance', NEW.transaction_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER billing_journalentry_balance AFTER INSERT ON billing_journalentry
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_require_balance();
"""
_UNDO_BALANCE = "DROP FUNCTION billing_require_balance() CASCADE;"

COMPOSITE_KEYS = (
    ("billing_invoice", "subscription_id", "billing_subscription"),
    ("billing_invoiceline", "invoice_id", "billing_invoice"),
    ("billing_invoicefile", "invoice_id", "billing_invoice"),
    ("billing_journalentry", "transaction_id", "billing_journaltransaction"),
)


def _composite_key(table: str, column: str, target: str) -> str:
    return f"""
ALTER TABLE {table} ADD CONSTRAINT {table}_{column}_of_tenant
    FOREIGN KEY (tenant_id, {column}) REFERENCES {target} (tenant_id, id)
    DEFERRABLE INITIALLY IMMEDIATE;
"""


def _fill(apps, schema_editor):  # type: ignore[no-untyped-def]  # Django's signature
    """The chart of accounts and the default seller, which the operator then edits."""
    alias = schema_editor.connection.alias
    account = apps.get_model("billing", "LedgerAccount")
    for code, kind in CHART.items():
        account.objects.using(alias).create(code=code.value, kind=kind.value)
    apps.get_model("billing", "Seller").objects.using(alias).create(
        code="default", name="Your company", number_prefix="INV"
    )


class Migration(migrations.Migration):
    dependencies: ClassVar = [("billing", "0001_initial")]

    operations: ClassVar = [
        migrations.RunSQL(_REFUSE, _UNDO_REFUSE),
        *[migrations.RunSQL(_append_only(table), "SELECT 1") for table in APPEND_ONLY],
        migrations.RunSQL(_INVOICE, _UNDO_INVOICE),
        migrations.RunSQL(_BALANCE, _UNDO_BALANCE),
        *[
            migrations.RunSQL(
                _composite_key(*key),
                f"ALTER TABLE {key[0]} DROP CONSTRAINT {key[0]}_{key[1]}_of_tenant",
            )
            for key in COMPOSITE_KEYS
        ],
        migrations.RunPython(_fill, migrations.RunPython.noop),
    ]
