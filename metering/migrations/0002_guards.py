"""What the database itself refuses: a changed closed day, a hash of the wrong length."""

from django.db import migrations

GUARDS = """
ALTER TABLE metering_event_key
    ADD CONSTRAINT metering_event_key_digest CHECK (octet_length(digest) = 16);
ALTER TABLE metering_event
    ADD CONSTRAINT metering_event_user_hash CHECK (octet_length(user_hash) = 16);
ALTER TABLE metering_active_user
    ADD CONSTRAINT metering_active_user_hash CHECK (octet_length(user_hash) = 16);
ALTER TABLE metering_day_close
    ADD CONSTRAINT metering_day_close_digest CHECK (octet_length(digest) = 32);

CREATE FUNCTION metering_refuse_closed_day() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP <> 'INSERT' AND EXISTS (
        SELECT 1 FROM metering_watermark w
         WHERE w.tenant_id = OLD.tenant_id AND w.closed_until > OLD.day
    ) THEN
        RAISE EXCEPTION 'usage of % is closed; record a correction', OLD.day
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'metering_closed_day';
    END IF;
    IF TG_OP <> 'DELETE' AND EXISTS (
        SELECT 1 FROM metering_watermark w
         WHERE w.tenant_id = NEW.tenant_id AND w.closed_until > NEW.day
    ) THEN
        RAISE EXCEPTION 'usage of % is closed; record a correction', NEW.day
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'metering_closed_day';
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER metering_closed_day
    BEFORE INSERT OR UPDATE OR DELETE ON metering_daily_usage
    FOR EACH ROW EXECUTE FUNCTION metering_refuse_closed_day();

CREATE FUNCTION metering_refuse_reopening() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.closed_until IS NOT NULL AND (
        TG_OP = 'DELETE' OR NEW.closed_until IS NULL OR NEW.closed_until < OLD.closed_until
        OR NEW.tenant_id <> OLD.tenant_id
    ) THEN
        RAISE EXCEPTION 'closed days stay closed'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'metering_closed_day';
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER metering_watermark_forward
    BEFORE UPDATE OR DELETE ON metering_watermark
    FOR EACH ROW EXECUTE FUNCTION metering_refuse_reopening();

CREATE FUNCTION metering_refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'metering_append_only';
END $$;

CREATE TRIGGER metering_day_close_frozen BEFORE UPDATE OR DELETE ON metering_day_close
    FOR EACH ROW EXECUTE FUNCTION metering_refuse_change();
CREATE TRIGGER metering_correction_frozen BEFORE UPDATE OR DELETE ON metering_correction
    FOR EACH ROW EXECUTE FUNCTION metering_refuse_change();
"""

UNGUARD = """
DROP TRIGGER metering_correction_frozen ON metering_correction;
DROP TRIGGER metering_day_close_frozen ON metering_day_close;
DROP TRIGGER metering_watermark_forward ON metering_watermark;
DROP TRIGGER metering_closed_day ON metering_daily_usage;
DROP FUNCTION metering_refuse_change();
DROP FUNCTION metering_refuse_reopening();
DROP FUNCTION metering_refuse_closed_day();
ALTER TABLE metering_day_close DROP CONSTRAINT metering_day_close_digest;
ALTER TABLE metering_active_user DROP CONSTRAINT metering_active_user_hash;
ALTER TABLE metering_event DROP CONSTRAINT metering_event_user_hash;
ALTER TABLE metering_event_key DROP CONSTRAINT metering_event_key_digest;
"""


class Migration(migrations.Migration):
    dependencies = [("metering", "0001_initial")]  # Django's own shape

    operations = [migrations.RunSQL(GUARDS, UNGUARD)]  # Django's own shape
