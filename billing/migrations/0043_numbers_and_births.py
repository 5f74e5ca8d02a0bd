"""Numbers count up by the documents that bear them, and an invoice begins as a draft."""

from typing import ClassVar

from django.db import migrations

_SERIES = """
CREATE FUNCTION billing_guard_series() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'series %-% has given numbers and can not be deleted', OLD.prefix, OLD.year
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.last < OLD.last
       OR (NEW.id, NEW.seller_id, NEW.prefix, NEW.year)
          IS DISTINCT FROM (OLD.id, OLD.seller_id, OLD.prefix, OLD.year) THEN
        RAISE EXCEPTION 'series %-% only counts up', OLD.prefix, OLD.year
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_numberseries_guard BEFORE UPDATE OR DELETE ON billing_numberseries
    FOR EACH ROW EXECUTE FUNCTION billing_guard_series();
CREATE TRIGGER billing_numberseries_no_truncate BEFORE TRUNCATE ON billing_numberseries
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();

-- At the end of the transaction each number that was taken stands on a document.
CREATE FUNCTION billing_require_numbered() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    missing text;
BEGIN
    SELECT min(taken.number) INTO missing
      FROM (SELECT format('%s-%s-%s', NEW.prefix, NEW.year,
                          lpad(n::text, greatest(6, length(n::text)), '0')) AS number
              FROM generate_series(
                   CASE TG_OP WHEN 'INSERT' THEN 1 ELSE OLD.last + 1 END, NEW.last) AS n) AS taken
     WHERE NOT EXISTS (SELECT 1 FROM billing_invoice i WHERE i.number = taken.number)
       AND NOT EXISTS (SELECT 1 FROM billing_creditnote c WHERE c.number = taken.number);
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'number % was taken and no document bears it', missing
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER billing_numberseries_numbered
    AFTER INSERT OR UPDATE ON billing_numberseries DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION billing_require_numbered();
"""
_UNDO_SERIES = """
DROP FUNCTION billing_guard_series() CASCADE;
DROP FUNCTION billing_require_numbered() CASCADE;
DROP TRIGGER billing_numberseries_no_truncate ON billing_numberseries;
"""

_BIRTH = """
CREATE FUNCTION billing_refuse_birth() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'invoice % does not begin as a draft', NEW.id
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER billing_invoice_birth BEFORE INSERT ON billing_invoice
    FOR EACH ROW WHEN (NEW.status <> 'draft' OR NEW.number IS NOT NULL
                       OR NEW.issued_at IS NOT NULL OR NEW.paid_minor <> 0)
    EXECUTE FUNCTION billing_refuse_birth();
"""
_UNDO_BIRTH = "DROP FUNCTION billing_refuse_birth() CASCADE;"


class Migration(migrations.Migration):
    dependencies: ClassVar = [("billing", "0042_zone_data")]
    operations: ClassVar = [
        migrations.RunSQL(_SERIES, _UNDO_SERIES),
        migrations.RunSQL(_BIRTH, _UNDO_BIRTH),
    ]
