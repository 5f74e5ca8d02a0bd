"""Statements of account and their files, and what the database itself refuses of them, whoever asks.

What a statement is of never changes, nor what became of it; a file is never changed.
"""

import billing.statements.domain.states
import django.db.models.deletion
import kernel.ids
from django.db import migrations, models


_GUARD = """
CREATE FUNCTION billing_guard_statement() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'a statement is never removed' USING ERRCODE = 'restrict_violation';
    END IF;
    IF OLD.state <> 'requested' OR
       (to_jsonb(NEW) - '{state,figures,failure_code,failure_detail,finished_at}'::text[])
       IS DISTINCT FROM
       (to_jsonb(OLD) - '{state,figures,failure_code,failure_detail,finished_at}'::text[]) THEN
        RAISE EXCEPTION 'what a statement is of, or what it says, is never changed'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_statement_guard BEFORE UPDATE OR DELETE ON billing_statement
    FOR EACH ROW EXECUTE FUNCTION billing_guard_statement();
CREATE FUNCTION billing_guard_statement_file() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a file of a statement is never changed or removed'
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER billing_statementfile_guard BEFORE UPDATE OR DELETE ON billing_statementfile
    FOR EACH ROW EXECUTE FUNCTION billing_guard_statement_file();
CREATE TRIGGER billing_statementfilepart_guard BEFORE UPDATE OR DELETE ON billing_statementfilepart
    FOR EACH ROW EXECUTE FUNCTION billing_guard_statement_file();
"""

_UNGUARD = """
DROP TRIGGER billing_statementfilepart_guard ON billing_statementfilepart;
DROP TRIGGER billing_statementfile_guard ON billing_statementfile;
DROP FUNCTION billing_guard_statement_file();
DROP TRIGGER billing_statement_guard ON billing_statement;
DROP FUNCTION billing_guard_statement();
"""


def _key(table: str, column: str, target: str) -> migrations.RunSQL:
    """A key to another row that carries the tenant."""
    return migrations.RunSQL(
        f"ALTER TABLE {table} ADD CONSTRAINT {table}_{column}_of_tenant"
        f" FOREIGN KEY (tenant_id, {column}) REFERENCES {target} (tenant_id, id)"
        " DEFERRABLE INITIALLY IMMEDIATE",
        f"ALTER TABLE {table} DROP CONSTRAINT {table}_{column}_of_tenant",
    )


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0030_run_decisions"),
        ("tenants", "0004_taxes"),
    ]

    operations = [
        migrations.CreateModel(
            name="MonthlyStatement",
            fields=[
                (
                    "tenant",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="tenants.tenant",
                    ),
                ),
                ("since", models.DateField()),
                ("changed_by", models.CharField(max_length=254)),
                ("changed_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="Statement",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kernel.ids.new_id, primary_key=True, serialize=False),
                ),
                ("currency", models.CharField(max_length=3)),
                ("starts_on", models.DateField()),
                ("ends_on", models.DateField()),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
                ("timezone", models.CharField(max_length=64)),
                ("language", models.CharField(max_length=16)),
                (
                    "origin",
                    models.CharField(
                        choices=[("asked", "asked"), ("monthly", "monthly")], max_length=16
                    ),
                ),
                ("requested_by", models.CharField(max_length=254)),
                ("requested_at", models.DateTimeField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("requested", "requested"),
                            ("ready", "ready"),
                            ("failed", "failed"),
                        ],
                        default=billing.statements.domain.states.StatementState["REQUESTED"],
                        max_length=16,
                    ),
                ),
                ("figures", models.JSONField(null=True)),
                ("failure_code", models.CharField(blank=True, max_length=64)),
                ("failure_detail", models.CharField(blank=True, max_length=500)),
                ("finished_at", models.DateTimeField(null=True)),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="StatementFile",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kernel.ids.new_id, primary_key=True, serialize=False),
                ),
                ("position", models.PositiveSmallIntegerField()),
                ("name", models.CharField(max_length=40)),
                ("media_type", models.CharField(max_length=100)),
                ("size", models.BigIntegerField()),
                ("sha256", models.BinaryField(max_length=32)),
                ("created_at", models.DateTimeField()),
                (
                    "statement",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="files",
                        to="billing.statement",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="StatementFilePart",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kernel.ids.new_id, primary_key=True, serialize=False),
                ),
                ("position", models.PositiveIntegerField()),
                ("content", models.BinaryField()),
                (
                    "file",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="parts",
                        to="billing.statementfile",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name="statement",
            index=models.Index(fields=["tenant", "-requested_at"], name="billing_statement_recent"),
        ),
        migrations.AddIndex(
            model_name="statement",
            index=models.Index(fields=["-requested_at"], name="billing_statement_newest"),
        ),
        migrations.AddConstraint(
            model_name="statement",
            constraint=models.UniqueConstraint(
                fields=("tenant", "id"), name="billing_statement_tenant_id"
            ),
        ),
        migrations.AddConstraint(
            model_name="statement",
            constraint=models.UniqueConstraint(
                condition=models.Q(("origin", "monthly")),
                fields=("tenant", "currency", "starts_on", "ends_on"),
                name="billing_statement_once_a_month",
            ),
        ),
        migrations.AddConstraint(
            model_name="statement",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("ends_at__gt", models.F("starts_at")),
                    ("ends_on__gt", models.F("starts_on")),
                    (
                        "origin__in",
                        [
                            billing.statements.domain.states.StatementOrigin["ASKED"],
                            billing.statements.domain.states.StatementOrigin["MONTHLY"],
                        ],
                    ),
                ),
                name="billing_statement_period",
            ),
        ),
        migrations.AddConstraint(
            model_name="statement",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("failure_code", ""),
                        ("figures__isnull", True),
                        ("finished_at__isnull", True),
                        ("state", "requested"),
                    ),
                    models.Q(
                        ("failure_code", ""),
                        ("figures__isnull", False),
                        ("finished_at__isnull", False),
                        ("state", "ready"),
                    ),
                    models.Q(
                        ("finished_at__isnull", False),
                        ("state", "failed"),
                        models.Q(("failure_code", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="billing_statement_state",
            ),
        ),
        migrations.AddConstraint(
            model_name="statementfile",
            constraint=models.UniqueConstraint(
                fields=("tenant", "id"), name="billing_statement_file_tenant_id"
            ),
        ),
        migrations.AddConstraint(
            model_name="statementfile",
            constraint=models.UniqueConstraint(
                fields=("tenant", "statement", "name"), name="billing_statement_file_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="statementfilepart",
            constraint=models.UniqueConstraint(
                fields=("tenant", "file", "position"), name="billing_statement_part_once"
            ),
        ),
        _key("billing_statementfile", "statement_id", "billing_statement"),
        _key("billing_statementfilepart", "file_id", "billing_statementfile"),
        migrations.RunSQL(_GUARD, _UNGUARD),
    ]
