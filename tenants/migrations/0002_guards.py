"""The audit trail and the access log are append-only for every role."""

from typing import ClassVar

from django.db import migrations

_SQL = """
CREATE FUNCTION tenants_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: its rows are never changed', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
"""
_UNDO = "DROP FUNCTION tenants_refuse_change() CASCADE;"


def _append_only(table: str) -> str:
    return f"""
CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION tenants_refuse_change();
CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION tenants_refuse_change();
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("tenants", "0001_initial")]

    operations: ClassVar = [
        migrations.RunSQL(_SQL, _UNDO),
        migrations.RunSQL(_append_only("tenants_auditrecord"), "SELECT 1"),
        migrations.RunSQL(_append_only("tenants_accessrecord"), "SELECT 1"),
    ]
