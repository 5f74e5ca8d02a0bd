"""How long documents are kept, legal holds, and files that go with retention alone.

Sources of the rules: the laws that each names; the years count from the end of the year of issue.
"""

from typing import Any

import django.db.models.deletion
import kernel.ids
from django.db import migrations, models


_RULES = (
    ("", "voucher", 10, "Ten years, the longest of the usual periods, where no law is named"),
    ("", "books", 10, "Ten years, the longest of the usual periods, where no law is named"),
    ("", "annual_report", 10, "Ten years, the longest of the usual periods, where no law is named"),
    ("DE", "voucher", 8, "§ 14b UStG, § 147 (3) AO, § 257 (4) HGB"),
    ("DE", "books", 10, "§ 147 (3) AO, § 257 (4) HGB"),
    ("DE", "annual_report", 10, "§ 147 (3) AO, § 257 (4) HGB"),
    ("FR", "voucher", 10, "Code de commerce L123-22"),
    ("FR", "books", 10, "Code de commerce L123-22"),
    ("FR", "annual_report", 10, "Code de commerce L123-22"),
    ("BE", "voucher", 7, "Code de droit économique III.86"),
    ("BE", "books", 7, "Code de droit économique III.86"),
    ("BE", "annual_report", 7, "Code de droit économique III.86"),
    ("PT", "voucher", 10, "Código do IVA 52"),
    ("PT", "books", 10, "Código do IRC 123"),
    ("PT", "annual_report", 10, "Código do IRC 123"),
    ("CH", "voucher", 10, "OR 958f"),
    ("CH", "books", 10, "OR 958f"),
    ("CH", "annual_report", 10, "OR 958f"),
    ("ES", "voucher", 6, "Código de Comercio 30"),
    ("ES", "books", 6, "Código de Comercio 30"),
    ("ES", "annual_report", 6, "Código de Comercio 30"),
    ("CN", "voucher", 30, "会计档案管理办法 (2015)"),
    ("CN", "books", 30, "会计档案管理办法 (2015)"),
    ("CN", "annual_report", None, "会计档案管理办法 (2015)"),
)


def _fill(apps: Any, schema_editor: Any) -> None:
    rule = apps.get_model("billing", "RetentionRule")
    rule.objects.using(schema_editor.connection.alias).bulk_create(
        rule(country=country, kind=kind, years=years, basis=basis)
        for country, kind, years, basis in _RULES
    )


_GUARD = """
CREATE FUNCTION billing_guard_retention_rule() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR (NEW.country, NEW.kind) IS DISTINCT FROM (OLD.country, OLD.kind)
       OR (OLD.years IS NULL AND NEW.years IS NOT NULL) OR NEW.years < OLD.years THEN
        RAISE EXCEPTION 'retention only gets longer' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_retentionrule_guard BEFORE UPDATE OR DELETE ON billing_retentionrule
    FOR EACH ROW EXECUTE FUNCTION billing_guard_retention_rule();

CREATE FUNCTION billing_guard_legal_hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR OLD.lifted_at IS NOT NULL
       OR (to_jsonb(NEW) - '{lifted_by,lifted_at,lift_reason}'::text[])
          IS DISTINCT FROM (to_jsonb(OLD) - '{lifted_by,lifted_at,lift_reason}'::text[]) THEN
        RAISE EXCEPTION 'a legal hold changes once, when it is lifted'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_legalhold_guard BEFORE UPDATE OR DELETE ON billing_legalhold
    FOR EACH ROW EXECUTE FUNCTION billing_guard_legal_hold();

-- What is written down of a removal is true: its rule is as long as the country's, it is over, nothing holds it.
CREATE FUNCTION billing_guard_removed_file() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wanted text := CASE WHEN NEW.kind = 'statement' THEN 'books' ELSE 'voucher' END;
    least smallint;
BEGIN
    SELECT r.years INTO least FROM billing_retentionrule r
     WHERE r.kind = wanted AND r.country IN ('', NEW.country) ORDER BY r.country DESC LIMIT 1;
    IF least IS NULL OR NEW.years < least
       OR NEW.retained_until < make_date(extract(year FROM NEW.issued_on)::int + NEW.years, 12, 31)
       OR NEW.retained_until >= NEW.removed_at::date
       OR EXISTS (SELECT 1 FROM billing_legalhold h
                   WHERE h.tenant_id = NEW.tenant_id AND h.lifted_at IS NULL) THEN
        RAISE EXCEPTION 'file % is still kept', NEW.file USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_removedfile_guard BEFORE INSERT ON billing_removedfile
    FOR EACH ROW EXECUTE FUNCTION billing_guard_removed_file();
CREATE TRIGGER billing_removedfile_append_only BEFORE UPDATE OR DELETE ON billing_removedfile
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER billing_removedfile_no_truncate BEFORE TRUNCATE ON billing_removedfile
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();

-- A file is never changed, and goes only with a row that says so and while nothing holds it.
CREATE FUNCTION billing_guard_kept_file() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    gone uuid := (to_jsonb(OLD) ->> TG_ARGV[0])::uuid;
BEGIN
    IF TG_OP = 'DELETE' AND EXISTS (
           SELECT 1 FROM billing_removedfile r
            WHERE r.tenant_id = OLD.tenant_id AND r.file = gone)
       AND NOT EXISTS (
           SELECT 1 FROM billing_legalhold h
            WHERE h.tenant_id = OLD.tenant_id AND h.lifted_at IS NULL) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION '% of % is refused: a file is never changed, and goes with retention alone',
        TG_OP, TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$;
DROP TRIGGER billing_invoicefile_append_only ON billing_invoicefile;
CREATE TRIGGER billing_invoicefile_kept BEFORE UPDATE OR DELETE ON billing_invoicefile
    FOR EACH ROW EXECUTE FUNCTION billing_guard_kept_file('id');
DROP TRIGGER billing_fapiaofile_append_only ON billing_fapiaofile;
CREATE TRIGGER billing_fapiaofile_kept BEFORE UPDATE OR DELETE ON billing_fapiaofile
    FOR EACH ROW EXECUTE FUNCTION billing_guard_kept_file('id');
DROP TRIGGER billing_statementfile_guard ON billing_statementfile;
CREATE TRIGGER billing_statementfile_kept BEFORE UPDATE OR DELETE ON billing_statementfile
    FOR EACH ROW EXECUTE FUNCTION billing_guard_kept_file('id');
DROP TRIGGER billing_statementfilepart_guard ON billing_statementfilepart;
CREATE TRIGGER billing_statementfilepart_kept BEFORE UPDATE OR DELETE ON billing_statementfilepart
    FOR EACH ROW EXECUTE FUNCTION billing_guard_kept_file('file_id');
DROP FUNCTION billing_guard_statement_file();
"""

_UNGUARD = """
DROP FUNCTION billing_guard_kept_file() CASCADE;
CREATE TRIGGER billing_invoicefile_append_only BEFORE UPDATE OR DELETE ON billing_invoicefile
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER billing_fapiaofile_append_only BEFORE UPDATE OR DELETE ON billing_fapiaofile
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_change();
CREATE FUNCTION billing_guard_statement_file() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a file of a statement is never changed or removed'
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER billing_statementfile_guard BEFORE UPDATE OR DELETE ON billing_statementfile
    FOR EACH ROW EXECUTE FUNCTION billing_guard_statement_file();
CREATE TRIGGER billing_statementfilepart_guard BEFORE UPDATE OR DELETE ON billing_statementfilepart
    FOR EACH ROW EXECUTE FUNCTION billing_guard_statement_file();
DROP FUNCTION billing_guard_removed_file() CASCADE;
DROP TRIGGER billing_removedfile_append_only ON billing_removedfile;
DROP TRIGGER billing_removedfile_no_truncate ON billing_removedfile;
DROP FUNCTION billing_guard_legal_hold() CASCADE;
DROP FUNCTION billing_guard_retention_rule() CASCADE;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0033_invoice_requests"),
        ("tenants", "0004_taxes"),
    ]

    operations = [
        migrations.CreateModel(
            name="RetentionRule",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("country", models.CharField(blank=True, max_length=2)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("voucher", "voucher"),
                            ("books", "books"),
                            ("annual_report", "annual_report"),
                        ],
                        max_length=16,
                    ),
                ),
                ("years", models.PositiveSmallIntegerField(null=True)),
                ("basis", models.CharField(max_length=300)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("country", "kind"), name="billing_retention_rule_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="LegalHold",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kernel.ids.new_id, primary_key=True, serialize=False),
                ),
                ("reason", models.CharField(max_length=300)),
                ("set_by", models.CharField(max_length=254)),
                ("set_at", models.DateTimeField()),
                ("lifted_by", models.CharField(blank=True, max_length=254)),
                ("lifted_at", models.DateTimeField(null=True)),
                ("lift_reason", models.CharField(blank=True, max_length=300)),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("lifted_at", None)),
                        fields=["tenant"],
                        name="billing_legal_hold_stands",
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("reason", ""), _negated=True),
                            models.Q(
                                models.Q(
                                    ("lift_reason", ""),
                                    ("lifted_at__isnull", True),
                                    ("lifted_by", ""),
                                ),
                                models.Q(
                                    ("lifted_at__isnull", False),
                                    models.Q(("lifted_by", ""), _negated=True),
                                    models.Q(("lift_reason", ""), _negated=True),
                                ),
                                _connector="OR",
                            ),
                        ),
                        name="billing_legal_hold_lifted",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="RemovedFile",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kernel.ids.new_id, primary_key=True, serialize=False),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("invoice", "invoice"),
                            ("fapiao", "fapiao"),
                            ("statement", "statement"),
                        ],
                        max_length=16,
                    ),
                ),
                ("file", models.UUIDField()),
                ("document", models.UUIDField()),
                ("name", models.CharField(max_length=120)),
                ("sha256", models.BinaryField(max_length=32)),
                ("issued_on", models.DateField()),
                ("country", models.CharField(blank=True, max_length=2)),
                ("years", models.PositiveSmallIntegerField()),
                ("retained_until", models.DateField()),
                ("removed_at", models.DateTimeField()),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["tenant", "document"], name="billing_removed_file_of"),
                    models.Index(fields=["-removed_at"], name="billing_removed_file_newest"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "file"), name="billing_removed_file_once"
                    )
                ],
            },
        ),
        migrations.RunPython(_fill, migrations.RunPython.noop),
        migrations.RunSQL(_GUARD, _UNGUARD),
    ]
