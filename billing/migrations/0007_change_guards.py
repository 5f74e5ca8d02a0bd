"""What the database itself refuses about plan changes, credit notes and balances, whoever asks.

- Credit notes, their lines and draws on a balance are never changed or removed.
- A credit note's lines sum to its total when the transaction commits.
- Credits of an invoice's line together are never above the line.
- What was drawn from a lot and what is left of it are never above what was granted.
- Foreign keys between tenants' rows carry the tenant.
"""

from typing import ClassVar

from django.db import migrations

from billing.ledger.domain import CHART

APPEND_ONLY = ("billing_creditnote", "billing_creditnoteline", "billing_balancedraw")

COMPOSITE_KEYS = (
    ("billing_subscriptionphase", "subscription_id", "billing_subscription"),
    ("billing_creditnote", "invoice_id", "billing_invoice"),
    ("billing_creditnote", "subscription_id", "billing_subscription"),
    ("billing_creditnoteline", "credit_note_id", "billing_creditnote"),
    ("billing_balancedraw", "lot_id", "billing_balancelot"),
    ("billing_balancedraw", "invoice_id", "billing_invoice"),
)


def _append_only(table: str) -> str:
    return f"""
CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();
"""


def _undo_append_only(table: str) -> str:
    return f"""
DROP TRIGGER {table}_append_only ON {table};
DROP TRIGGER {table}_no_truncate ON {table};
"""


def _composite_key(table: str, column: str, target: str) -> str:
    return f"""
ALTER TABLE {table} ADD CONSTRAINT {table}_{column}_of_tenant
    FOREIGN KEY (tenant_id, {column}) REFERENCES {target} (tenant_id, id)
    DEFERRABLE INITIALLY IMMEDIATE;
"""


_CREDIT_NOTE = """
CREATE FUNCTION billing_require_credit_note() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    note uuid := (to_jsonb(NEW) ->> TG_ARGV[0])::uuid;
    of_line uuid := (to_jsonb(NEW) ->> 'invoice_line_id')::uuid;
BEGIN
    IF (SELECT n.total_minor FROM billing_creditnote n
         WHERE n.tenant_id = NEW.tenant_id AND n.id = note)
       IS DISTINCT FROM
       (SELECT sum(l.amount_minor) + (SELECT n.tax_minor FROM billing_creditnote n
                                       WHERE n.tenant_id = NEW.tenant_id AND n.id = note)
          FROM billing_creditnoteline l
         WHERE l.tenant_id = NEW.tenant_id AND l.credit_note_id = note) THEN
        RAISE EXCEPTION 'credit note %: its lines do not sum to its total', note
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF of_line IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM billing_invoiceline i
         WHERE i.tenant_id = NEW.tenant_id AND i.id = of_line) THEN
        RAISE EXCEPTION 'the tenant has no invoice line %', of_line
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF of_line IS NOT NULL AND (
        SELECT sum(l.amount_minor) FROM billing_creditnoteline l
         WHERE l.tenant_id = NEW.tenant_id AND l.invoice_line_id = of_line)
       > coalesce((SELECT i.amount_minor FROM billing_invoiceline i
                    WHERE i.tenant_id = NEW.tenant_id AND i.id = of_line), 0) THEN
        RAISE EXCEPTION 'invoice line % is credited beyond its amount', of_line
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER billing_creditnote_adds_up AFTER INSERT ON billing_creditnote
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_require_credit_note('id');
CREATE CONSTRAINT TRIGGER billing_creditnoteline_adds_up AFTER INSERT ON billing_creditnoteline
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    EXECUTE FUNCTION billing_require_credit_note('credit_note_id');
"""
_UNDO_CREDIT_NOTE = "DROP FUNCTION billing_require_credit_note() CASCADE;"

_LOT = """
CREATE FUNCTION billing_require_lot() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    of_lot uuid := (to_jsonb(NEW) ->> TG_ARGV[0])::uuid;
BEGIN
    IF EXISTS (
        SELECT 1 FROM billing_balancelot b
         WHERE b.tenant_id = NEW.tenant_id AND b.id = of_lot
           AND b.left_minor + (SELECT coalesce(sum(d.amount_minor), 0) FROM billing_balancedraw d
                                WHERE d.tenant_id = b.tenant_id AND d.lot_id = b.id)
               > b.amount_minor) THEN
        RAISE EXCEPTION 'balance lot %: more is drawn and left than was granted', of_lot
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER billing_balancelot_holds AFTER INSERT OR UPDATE ON billing_balancelot
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_require_lot('id');
CREATE CONSTRAINT TRIGGER billing_balancedraw_holds AFTER INSERT ON billing_balancedraw
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_require_lot('lot_id');
"""
_UNDO_LOT = "DROP FUNCTION billing_require_lot() CASCADE;"

# What was paid beyond an invoice stood on the ledger alone until now.
_LOTS_OF_PAYMENTS = """
INSERT INTO billing_balancelot (
    id, tenant_id, kind, source, currency, amount_minor, left_minor, granted_at)
SELECT gen_random_uuid(), tenant_id, 'cash', 'payment:' || id, currency, credited_minor,
       credited_minor, booked_at
  FROM billing_payment WHERE credited_minor > 0;
"""


def _fill(apps, schema_editor):  # type: ignore[no-untyped-def]  # Django's signature
    """The accounts that the chart has gained."""
    alias = schema_editor.connection.alias
    account = apps.get_model("billing", "LedgerAccount")
    for code, kind in CHART.items():
        account.objects.using(alias).get_or_create(code=code.value, defaults={"kind": kind.value})


class Migration(migrations.Migration):
    dependencies: ClassVar = [("billing", "0006_changes_and_balances")]

    operations: ClassVar = [
        *[
            migrations.RunSQL(_append_only(table), _undo_append_only(table))
            for table in APPEND_ONLY
        ],
        migrations.RunSQL(_CREDIT_NOTE, _UNDO_CREDIT_NOTE),
        migrations.RunSQL(_LOT, _UNDO_LOT),
        *[
            migrations.RunSQL(
                _composite_key(*key),
                f"ALTER TABLE {key[0]} DROP CONSTRAINT {key[0]}_{key[1]}_of_tenant",
            )
            for key in COMPOSITE_KEYS
        ],
        migrations.RunSQL(_LOTS_OF_PAYMENTS, migrations.RunSQL.noop),
        migrations.RunPython(_fill, migrations.RunPython.noop),
    ]
