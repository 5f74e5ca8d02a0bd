"""What the database itself refuses about tax, whoever asks.

- Of one jurisdiction, category and supply no two rates are in force on one day.
- A rate is never changed or removed; an open one may get its end, once.
- An invoice's total is its subtotal less discounts plus tax; a line's tax has its net's sign.
- A credit note's tax is the sum of its lines'; what a line is credited is never above what it came to
  after discounts, and its tax never above the line's by more than the rounding of each credit.
"""

from typing import ClassVar

from django.db import migrations

_EXTENSION = "CREATE EXTENSION IF NOT EXISTS btree_gist"

_RATES = """
ALTER TABLE billing_taxrate ADD CONSTRAINT billing_tax_rate_no_overlap EXCLUDE USING gist (
    jurisdiction WITH =, category WITH =, supply WITH =, daterange(valid_from, valid_to) WITH &&);
CREATE FUNCTION billing_guard_tax_rate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR OLD.valid_to IS NOT NULL
       OR to_jsonb(OLD) - 'valid_to' IS DISTINCT FROM to_jsonb(NEW) - 'valid_to' THEN
        RAISE EXCEPTION 'a tax rate is never changed; an open one may only get its end'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_taxrate_guard BEFORE UPDATE OR DELETE ON billing_taxrate
    FOR EACH ROW EXECUTE FUNCTION billing_guard_tax_rate();
CREATE TRIGGER billing_taxrate_no_truncate BEFORE TRUNCATE ON billing_taxrate
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();
"""
_UNDO_RATES = """
DROP FUNCTION billing_guard_tax_rate() CASCADE;
DROP TRIGGER billing_taxrate_no_truncate ON billing_taxrate;
ALTER TABLE billing_taxrate DROP CONSTRAINT billing_tax_rate_no_overlap;
"""

# NOT VALID: no look at all rows under a lock; new ones are held to it at once.
_SUMS = """
ALTER TABLE billing_invoice ADD CONSTRAINT billing_invoice_adds_up
    CHECK (total_minor = subtotal_minor - discount_minor + tax_minor) NOT VALID;
ALTER TABLE billing_invoiceline ADD CONSTRAINT billing_invoice_line_tax CHECK (
    tax_percent BETWEEN 0 AND 100 AND (tax_code = 'standard') = (tax_percent > 0)
    AND (tax_percent > 0 OR tax_minor = 0)
    AND tax_minor::numeric * (amount_minor - discount_minor) >= 0) NOT VALID;
"""
_UNDO_SUMS = """
ALTER TABLE billing_invoice DROP CONSTRAINT billing_invoice_adds_up;
ALTER TABLE billing_invoiceline DROP CONSTRAINT billing_invoice_line_tax;
"""

_CREDIT_NOTE = """
CREATE OR REPLACE FUNCTION billing_require_credit_note() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    note uuid := (to_jsonb(NEW) ->> TG_ARGV[0])::uuid;
    of_line uuid := (to_jsonb(NEW) ->> 'invoice_line_id')::uuid;
    credited record;
    billed record;
BEGIN
    IF (SELECT (n.total_minor - n.tax_minor, n.tax_minor) FROM billing_creditnote n
         WHERE n.tenant_id = NEW.tenant_id AND n.id = note)
       IS DISTINCT FROM
       (SELECT (sum(l.amount_minor)::bigint, sum(l.tax_minor)::bigint)
          FROM billing_creditnoteline l
         WHERE l.tenant_id = NEW.tenant_id AND l.credit_note_id = note) THEN
        RAISE EXCEPTION 'credit note %: its lines do not sum to its total', note
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF of_line IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT i.amount_minor - i.discount_minor AS net, i.tax_minor AS tax INTO billed
      FROM billing_invoiceline i WHERE i.tenant_id = NEW.tenant_id AND i.id = of_line;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the tenant has no invoice line %', of_line
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    SELECT sum(l.amount_minor) AS net, sum(l.tax_minor) AS tax, count(*) AS times INTO credited
      FROM billing_creditnoteline l
     WHERE l.tenant_id = NEW.tenant_id AND l.invoice_line_id = of_line;
    IF credited.net > billed.net OR credited.tax > billed.tax + credited.times THEN
        RAISE EXCEPTION 'invoice line % is credited beyond its amount', of_line
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
"""

# As in 0010, after discounts.
_UNCREDITED = """
CREATE OR REPLACE FUNCTION billing_require_uncredited() RETURNS trigger LANGUAGE plpgsql AS $$
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
    SELECT coalesce(sum(l.amount_minor - l.discount_minor), 0),
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
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("billing", "0013_taxes")]

    operations: ClassVar = [
        migrations.RunSQL(_EXTENSION, migrations.RunSQL.noop),
        migrations.RunSQL(_RATES, _UNDO_RATES),
        migrations.RunSQL(_SUMS, _UNDO_SUMS),
        migrations.RunSQL(_CREDIT_NOTE, migrations.RunSQL.noop),
        migrations.RunSQL(_UNCREDITED, migrations.RunSQL.noop),
    ]
