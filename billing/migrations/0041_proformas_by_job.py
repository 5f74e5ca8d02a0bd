"""Pro-formas keep what they say, and a job fills in their paper: once, and nothing else ever changes."""

from django.db import migrations, models


_GUARD = """
CREATE FUNCTION billing_guard_proforma() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.content IS NULL AND NEW.content IS NOT NULL AND NEW.sha256 IS NOT NULL
       AND to_jsonb(NEW) - '{content,sha256}'::text[] = to_jsonb(OLD) - '{content,sha256}'::text[] THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a pro-forma is never changed' USING ERRCODE = 'restrict_violation';
END $$;
DROP TRIGGER billing_proforma_append_only ON billing_proforma;
CREATE TRIGGER billing_proforma_filled_once BEFORE UPDATE OR DELETE ON billing_proforma
    FOR EACH ROW EXECUTE FUNCTION billing_guard_proforma();
"""
_UNDO_GUARD = """
DROP FUNCTION billing_guard_proforma() CASCADE;
CREATE TRIGGER billing_proforma_append_only BEFORE UPDATE OR DELETE ON billing_proforma
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0040_migration_with_drafts"),
        ("tenants", "0006_consolidation"),
    ]

    operations = [
        migrations.AddField(
            model_name="proforma",
            name="paper",
            field=models.JSONField(null=True),
        ),
        migrations.AlterField(
            model_name="proforma",
            name="content",
            field=models.BinaryField(null=True),
        ),
        migrations.AlterField(
            model_name="proforma",
            name="sha256",
            field=models.BinaryField(max_length=32, null=True),
        ),
        migrations.AddConstraint(
            model_name="proforma",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("content__isnull", False), ("sha256__isnull", False)),
                    models.Q(
                        ("content__isnull", True),
                        ("paper__isnull", False),
                        ("sha256__isnull", True),
                    ),
                    _connector="OR",
                ),
                name="billing_proforma_printed",
            ),
        ),
        migrations.RunSQL(_GUARD, _UNDO_GUARD),
    ]
