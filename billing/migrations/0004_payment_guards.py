"""What the database itself refuses about payments, whoever asks.

- Payments and allocations are never changed or removed.
- A payment's allocations sum to what it says is allocated, when the transaction commits.
- No invoice is settled beyond what it says is paid.
- An attempt that is concluded stays so; its amount and invoice never change.
- Foreign keys between tenants' rows carry the tenant.
"""

from typing import ClassVar

from django.db import migrations

APPEND_ONLY = ("billing_payment", "billing_paymentallocation")

COMPOSITE_KEYS = (
    ("billing_paymentallocation", "payment_id", "billing_payment"),
    ("billing_paymentallocation", "invoice_id", "billing_invoice"),
    ("billing_paymentattempt", "invoice_id", "billing_invoice"),
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


_CONSERVE = """
CREATE FUNCTION billing_require_allocations() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    told bigint;
    allocated bigint;
BEGIN
    SELECT p.allocated_minor INTO told FROM billing_payment p
     WHERE p.tenant_id = NEW.tenant_id
       AND p.id = (to_jsonb(NEW) ->> TG_ARGV[0])::uuid;
    SELECT coalesce(sum(a.amount_minor), 0) INTO allocated FROM billing_paymentallocation a
     WHERE a.tenant_id = NEW.tenant_id
       AND a.payment_id = (to_jsonb(NEW) ->> TG_ARGV[0])::uuid;
    IF told IS DISTINCT FROM allocated THEN
        RAISE EXCEPTION 'payment %: % minor units are allocated, it says %',
            to_jsonb(NEW) ->> TG_ARGV[0], allocated, told
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER billing_payment_adds_up AFTER INSERT ON billing_payment
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_require_allocations('id');
CREATE CONSTRAINT TRIGGER billing_paymentallocation_adds_up
    AFTER INSERT ON billing_paymentallocation
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    EXECUTE FUNCTION billing_require_allocations('payment_id');

CREATE FUNCTION billing_require_settled() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    settled uuid := (to_jsonb(NEW) ->> TG_ARGV[0])::uuid;
BEGIN
    IF EXISTS (
        SELECT 1 FROM billing_invoice i
         WHERE i.tenant_id = NEW.tenant_id AND i.id = settled
           AND i.paid_minor < (SELECT coalesce(sum(a.amount_minor), 0)
                                 FROM billing_paymentallocation a
                                WHERE a.tenant_id = i.tenant_id AND a.invoice_id = i.id)) THEN
        RAISE EXCEPTION 'invoice % is settled beyond what it says is paid', settled
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER billing_paymentallocation_settled
    AFTER INSERT ON billing_paymentallocation
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    EXECUTE FUNCTION billing_require_settled('invoice_id');
CREATE CONSTRAINT TRIGGER billing_invoice_settled
    AFTER UPDATE OF paid_minor ON billing_invoice
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    EXECUTE FUNCTION billing_require_settled('id');
"""
_UNDO_CONSERVE = """
DROP FUNCTION billing_require_allocations() CASCADE;
DROP FUNCTION billing_require_settled() CASCADE;
"""

_ATTEMPT = """
CREATE FUNCTION billing_guard_attempt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'payment attempt % can not be removed', OLD.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.state IN ('succeeded', 'failed', 'canceled') AND NEW.state <> OLD.state THEN
        RAISE EXCEPTION 'payment attempt % is % and can not become %', OLD.id, OLD.state, NEW.state
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (OLD.tenant_id, OLD.invoice_id, OLD.number, OLD.currency, OLD.amount_minor)
       IS DISTINCT FROM (NEW.tenant_id, NEW.invoice_id, NEW.number, NEW.currency, NEW.amount_minor)
       OR (OLD.intent_id IS NOT NULL AND NEW.intent_id IS DISTINCT FROM OLD.intent_id) THEN
        RAISE EXCEPTION 'payment attempt %: what it pays and its intent can not change', OLD.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_paymentattempt_guard BEFORE UPDATE OR DELETE ON billing_paymentattempt
    FOR EACH ROW EXECUTE FUNCTION billing_guard_attempt();
"""
_UNDO_ATTEMPT = "DROP FUNCTION billing_guard_attempt() CASCADE;"


class Migration(migrations.Migration):
    dependencies: ClassVar = [("billing", "0003_payments")]

    operations: ClassVar = [
        *[
            migrations.RunSQL(_append_only(table), _undo_append_only(table))
            for table in APPEND_ONLY
        ],
        migrations.RunSQL(_CONSERVE, _UNDO_CONSERVE),
        migrations.RunSQL(_ATTEMPT, _UNDO_ATTEMPT),
        *[
            migrations.RunSQL(
                _composite_key(*key),
                f"ALTER TABLE {key[0]} DROP CONSTRAINT {key[0]}_{key[1]}_of_tenant",
            )
            for key in COMPOSITE_KEYS
        ],
    ]
