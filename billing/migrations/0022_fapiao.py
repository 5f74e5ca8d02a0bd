"""Fapiao, and what the database itself refuses of them, whoever asks.

- A request is frozen but for its state and the platform's answer, and is never removed.
- Per invoice never more blue less issued red than it bills less its credit notes when a blue one is asked
  for; a red one never takes back more than is left of its blue one, and its credit note's total exactly.
"""

import django.db.models.deletion
import django.db.models.expressions
from django.db import migrations, models

import kernel.clock
import kernel.ids

_GUARD = """
CREATE FUNCTION billing_guard_fapiao() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'a fapiao is never removed' USING ERRCODE = 'restrict_violation';
    END IF;
    IF (to_jsonb(NEW) - '{state,submitted_at,number,issued_on,confirmation,failure_code,failure_detail,finished_at}'::text[])
       IS DISTINCT FROM
       (to_jsonb(OLD) - '{state,submitted_at,number,issued_on,confirmation,failure_code,failure_detail,finished_at}'::text[])
       OR NOT (OLD.state, NEW.state) IN (
           ('requested', 'submitted'), ('requested', 'failed'), ('submitted', 'confirmed'),
           ('submitted', 'issued'), ('submitted', 'failed'), ('confirmed', 'issued'),
           ('confirmed', 'failed')) THEN
        RAISE EXCEPTION 'what a fapiao asks for is never changed, and its state only goes on'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_fapiao_guard BEFORE UPDATE OR DELETE ON billing_fapiao
    FOR EACH ROW EXECUTE FUNCTION billing_guard_fapiao();
-- After the insert: what a role may not write is refused before by its policy.
CREATE FUNCTION billing_sum_fapiao() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    billed record;
    blue record;
    used record;
    credited bigint;
BEGIN
    -- The lock makes requests for one invoice wait for each other, so that none misses another's sum.
    SELECT total_minor, currency, status INTO billed FROM billing_invoice
     WHERE tenant_id = NEW.tenant_id AND id = NEW.invoice_id FOR UPDATE;
    IF NEW.state <> 'requested' OR billed IS NULL OR billed.currency <> NEW.currency
       OR billed.status NOT IN ('open', 'paid') THEN
        RAISE EXCEPTION 'a fapiao is asked for an issued invoice of the tenant in its currency'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.color = 'blue' THEN
        SELECT coalesce(sum(CASE WHEN color = 'blue' THEN total_minor
                                 WHEN state = 'issued' THEN -total_minor ELSE 0 END), 0) AS total
          INTO used FROM billing_fapiao
         WHERE tenant_id = NEW.tenant_id AND invoice_id = NEW.invoice_id AND state <> 'failed'
           AND id <> NEW.id;
        SELECT coalesce(sum(total_minor), 0) INTO credited FROM billing_creditnote
         WHERE tenant_id = NEW.tenant_id AND invoice_id = NEW.invoice_id;
        IF used.total + NEW.total_minor > billed.total_minor - credited THEN
            RAISE EXCEPTION 'invoice %: more is asked for than it bills', NEW.invoice_id
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN NEW;
    END IF;
    SELECT color, state, net_minor, tax_minor INTO blue FROM billing_fapiao
     WHERE tenant_id = NEW.tenant_id AND id = NEW.of_id AND invoice_id = NEW.invoice_id;
    SELECT coalesce(sum(net_minor), 0) AS net, coalesce(sum(tax_minor), 0) AS tax INTO used
      FROM billing_fapiao WHERE tenant_id = NEW.tenant_id AND of_id = NEW.of_id AND state <> 'failed'
       AND id <> NEW.id;
    IF blue IS NULL OR blue.color <> 'blue' OR blue.state <> 'issued'
       OR used.net + NEW.net_minor > blue.net_minor OR used.tax + NEW.tax_minor > blue.tax_minor THEN
        RAISE EXCEPTION 'a red fapiao takes back what is left of an issued blue one'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.credit_note_id IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM billing_creditnote n
         WHERE n.tenant_id = NEW.tenant_id AND n.id = NEW.credit_note_id
           AND n.invoice_id = NEW.invoice_id AND n.total_minor = NEW.total_minor) THEN
        RAISE EXCEPTION 'a red fapiao takes back exactly what its credit note gives back'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_fapiao_sum AFTER INSERT ON billing_fapiao
    FOR EACH ROW EXECUTE FUNCTION billing_sum_fapiao();
CREATE TRIGGER billing_fapiao_no_truncate BEFORE TRUNCATE ON billing_fapiao
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER billing_fapiaofile_append_only BEFORE UPDATE OR DELETE ON billing_fapiaofile
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER billing_fapiaofile_no_truncate BEFORE TRUNCATE ON billing_fapiaofile
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();
"""
_UNDO_GUARD = """
DROP FUNCTION billing_guard_fapiao() CASCADE;
DROP FUNCTION billing_sum_fapiao() CASCADE;
DROP TRIGGER billing_fapiao_no_truncate ON billing_fapiao;
DROP TRIGGER billing_fapiaofile_append_only ON billing_fapiaofile;
DROP TRIGGER billing_fapiaofile_no_truncate ON billing_fapiaofile;
"""
_KEYS = (
    ("billing_fapiao", "invoice_id", "billing_invoice"),
    ("billing_fapiao", "of_id", "billing_fapiao"),
    ("billing_fapiao", "credit_note_id", "billing_creditnote"),
    ("billing_fapiaofile", "fapiao_id", "billing_fapiao"),
)


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
        ("billing", "0021_checks_by_statement"),
        ("tenants", "0004_taxes"),
    ]

    operations = [
        migrations.CreateModel(
            name="FapiaoBuyer",
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
                (
                    "kind",
                    models.CharField(
                        choices=[("special", "special"), ("ordinary", "ordinary")], max_length=16
                    ),
                ),
                (
                    "buyer_type",
                    models.CharField(
                        choices=[("organisation", "organisation"), ("person", "person")],
                        max_length=16,
                    ),
                ),
                ("name", models.CharField(max_length=100)),
                ("tax_id", models.CharField(blank=True, max_length=20)),
                ("address", models.CharField(blank=True, max_length=100)),
                ("phone", models.CharField(blank=True, max_length=100)),
                ("bank", models.CharField(blank=True, max_length=100)),
                ("bank_account", models.CharField(blank=True, max_length=100)),
                ("email", models.CharField(blank=True, max_length=254)),
                ("changed_at", models.DateTimeField(default=kernel.clock.now)),
            ],
        ),
        migrations.CreateModel(
            name="Fapiao",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kernel.ids.new_id, primary_key=True, serialize=False),
                ),
                (
                    "color",
                    models.CharField(choices=[("blue", "blue"), ("red", "red")], max_length=8),
                ),
                (
                    "reason",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("issued_in_error", "issued_in_error"),
                            ("goods_returned", "goods_returned"),
                            ("service_ended", "service_ended"),
                            ("discount", "discount"),
                        ],
                        max_length=24,
                    ),
                ),
                ("content", models.JSONField()),
                ("nets", models.JSONField(default=list)),
                ("net_minor", models.BigIntegerField()),
                ("tax_minor", models.BigIntegerField()),
                ("total_minor", models.BigIntegerField()),
                ("currency", models.CharField(default="CNY", max_length=3)),
                ("requested_by", models.CharField(max_length=254)),
                ("requested_at", models.DateTimeField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("requested", "requested"),
                            ("submitted", "submitted"),
                            ("confirmed", "confirmed"),
                            ("issued", "issued"),
                            ("failed", "failed"),
                        ],
                        default="requested",
                        max_length=16,
                    ),
                ),
                ("submitted_at", models.DateTimeField(null=True)),
                ("number", models.CharField(max_length=20, null=True, unique=True)),
                ("issued_on", models.DateField(null=True)),
                ("confirmation", models.CharField(blank=True, max_length=64)),
                ("failure_code", models.CharField(blank=True, max_length=64)),
                ("failure_detail", models.CharField(blank=True, max_length=500)),
                ("finished_at", models.DateTimeField(null=True)),
                (
                    "credit_note",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.creditnote",
                    ),
                ),
                (
                    "invoice",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.invoice",
                    ),
                ),
                (
                    "of",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.fapiao",
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
            name="FapiaoFile",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kernel.ids.new_id, primary_key=True, serialize=False),
                ),
                ("media_type", models.CharField(max_length=100)),
                ("content", models.BinaryField()),
                ("sha256", models.BinaryField(max_length=32)),
                ("received_at", models.DateTimeField()),
                (
                    "fapiao",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="files",
                        to="billing.fapiao",
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
            name="FapiaoProductName",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("category", models.CharField(blank=True, max_length=100)),
                ("name", models.CharField(max_length=92)),
                ("code", models.CharField(max_length=19)),
                ("unit", models.CharField(blank=True, max_length=20)),
                ("specification", models.CharField(blank=True, max_length=40)),
                (
                    "seller",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.seller",
                    ),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name="fapiao",
            index=models.Index(fields=["tenant", "-requested_at"], name="billing_fapiao_recent"),
        ),
        migrations.AddIndex(
            model_name="fapiao",
            index=models.Index(fields=["-requested_at"], name="billing_fapiao_newest"),
        ),
        migrations.AddConstraint(
            model_name="fapiao",
            constraint=models.UniqueConstraint(
                fields=("tenant", "id"), name="billing_fapiao_tenant_id"
            ),
        ),
        migrations.AddConstraint(
            model_name="fapiao",
            constraint=models.UniqueConstraint(
                condition=models.Q(
                    (
                        "state__in",
                        [
                            "confirmed",
                            "issued",
                            "requested",
                            "submitted",
                        ],
                    )
                ),
                fields=("tenant", "credit_note"),
                name="billing_fapiao_once_a_note",
            ),
        ),
        migrations.AddConstraint(
            model_name="fapiao",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("finished_at__isnull", False),
                        ("issued_on__isnull", False),
                        ("number__isnull", False),
                        ("state", "issued"),
                    ),
                    models.Q(
                        ("finished_at__isnull", False),
                        ("number__isnull", True),
                        ("state", "failed"),
                        models.Q(("failure_code", ""), _negated=True),
                    ),
                    models.Q(
                        ("finished_at__isnull", True),
                        ("number__isnull", True),
                        ("state__in", ["requested", "submitted", "confirmed"]),
                    ),
                    _connector="OR",
                ),
                name="billing_fapiao_state",
            ),
        ),
        migrations.AddConstraint(
            model_name="fapiao",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("color", "blue"),
                        ("credit_note__isnull", True),
                        ("of__isnull", True),
                        ("reason", ""),
                    ),
                    models.Q(
                        ("color", "red"),
                        ("of__isnull", False),
                        models.Q(("reason", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="billing_fapiao_color",
            ),
        ),
        migrations.AddConstraint(
            model_name="fapiao",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("net_minor__gt", 0),
                    ("tax_minor__gte", 0),
                    ("currency", "CNY"),
                    (
                        "total_minor",
                        django.db.models.expressions.CombinedExpression(
                            models.F("net_minor"), "+", models.F("tax_minor")
                        ),
                    ),
                ),
                name="billing_fapiao_adds_up",
            ),
        ),
        migrations.AddConstraint(
            model_name="fapiaofile",
            constraint=models.UniqueConstraint(
                fields=("tenant", "fapiao", "media_type"), name="billing_fapiao_file_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="fapiaoproductname",
            constraint=models.UniqueConstraint(
                fields=("seller", "category"), name="billing_fapiao_product_once"
            ),
        ),
        *(_key(*each) for each in _KEYS),
        migrations.RunSQL(_GUARD, _UNDO_GUARD),
    ]
