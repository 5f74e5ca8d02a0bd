"""The guard of what one person asks for and another decides (`tenants.two_people`)."""

from typing import ClassVar

from django.db import migrations

# Its arguments: the constraint that a refusal names, and further columns that come with the decision.
_GUARD = """
CREATE FUNCTION tenants_guard_request() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    decided text[] := ARRAY['state', 'decided_by', 'decided_at'] || TG_ARGV[1:];
BEGIN
    IF TG_OP = 'DELETE' OR OLD.state <> 'waiting'
        OR to_jsonb(NEW) - decided IS DISTINCT FROM to_jsonb(OLD) - decided
    THEN
        RAISE EXCEPTION 'what was asked for stays, and is decided once'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_ARGV[0];
    END IF;
    RETURN NEW;
END $$;
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("tenants", "0004_taxes")]

    operations: ClassVar = [
        migrations.RunSQL(_GUARD, "DROP FUNCTION tenants_guard_request() CASCADE"),
    ]
