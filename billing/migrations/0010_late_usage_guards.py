"""What the database itself refuses about late usage, whoever asks.

- How late usage was settled is never changed or removed.
- Credits of a line, and of all lines that adjust one another, are together never above their sum: what
  an adjustment has given back already can't be credited again.
- Foreign keys between tenants' rows carry the tenant.
"""

from typing import ClassVar

from django.db import migrations

COMPOSITE_KEYS = (
    ("billing_lateusage", "subscription_id", "billing_subscription"),
    ("billing_lateusage", "document_id", "billing_invoice"),
    ("billing_creditnote", "document_id", "billing_invoice"),
)

_APPEND_ONLY = """
CREATE TRIGGER billing_lateusage_append_only BEFORE UPDATE OR DELETE ON billing_lateusage
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER billing_lateusage_no_truncate BEFORE TRUNCATE ON billing_lateusage
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();
"""
_UNDO_APPEND_ONLY = """
DROP TRIGGER billing_lateusage_append_only ON billing_lateusage;
DROP TRIGGER billing_lateusage_no_truncate ON billing_lateusage;
"""

_CREDITS = """
CREATE FUNCTION billing_require_uncredited() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    first_line uuid;
    billed bigint;
    credited bigint;
BEGIN
    IF NEW.invoice_line_id IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT coalesce(l.adjusts, l.id) INTO first_line FROM billing_invoiceline l
     WHERE l.tenant_id = NEW.tenant_id AND l.id = NEW.invoice_line_id;
    SELECT coalesce(sum(l.amount_minor), 0),
           coalesce(sum((SELECT sum(c.amount_minor) FROM billing_creditnoteline c
                          WHERE c.tenant_id = l.tenant_id AND c.invoice_line_id = l.id)), 0)
      INTO billed, credited
      FROM billing_invoiceline l
      JOIN billing_invoice i ON i.tenant_id = l.tenant_id AND i.id = l.invoice_id
     WHERE l.tenant_id = NEW.tenant_id AND (l.id = first_line OR l.adjusts = first_line)
       AND (i.status NOT IN ('draft', 'void') OR EXISTS (
            SELECT 1 FROM billing_creditnote n
             WHERE n.tenant_id = i.tenant_id AND n.document_id = i.id));
    IF credited > billed THEN
        RAISE EXCEPTION 'invoice line % is credited beyond what its adjustments left of it',
            NEW.invoice_line_id USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER billing_creditnoteline_uncredited AFTER INSERT ON billing_creditnoteline
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_require_uncredited();
"""
_UNDO_CREDITS = "DROP FUNCTION billing_require_uncredited() CASCADE;"


def _composite_key(table: str, column: str, target: str) -> str:
    return f"""
ALTER TABLE {table} ADD CONSTRAINT {table}_{column}_of_tenant
    FOREIGN KEY (tenant_id, {column}) REFERENCES {target} (tenant_id, id)
    DEFERRABLE INITIALLY IMMEDIATE;
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("billing", "0009_late_usage")]

    operations: ClassVar = [
        migrations.RunSQL(_APPEND_ONLY, _UNDO_APPEND_ONLY),
        migrations.RunSQL(_CREDITS, _UNDO_CREDITS),
        *[
            migrations.RunSQL(
                _composite_key(*key),
                f"ALTER TABLE {key[0]} DROP CONSTRAINT {key[0]}_{key[1]}_of_tenant",
            )
            for key in COMPOSITE_KEYS
        ],
    ]
