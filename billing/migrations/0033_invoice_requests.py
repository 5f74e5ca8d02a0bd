"""What people ask of issued invoices, decided by a second one; an issued invoice is never void; bad debt."""

import billing.invoicing.domain
import django.db.models.deletion
import kernel.ids
from django.db import migrations, models

from billing.ledger.domain import CHART

# Who asks, approves or credits holds the invoice (its row lock), so that what is counted here stands.
_ROOM = """
CREATE FUNCTION billing_require_room(of_tenant uuid, of_invoice uuid) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    beyond text;
BEGIN
    PERFORM FROM billing_invoice WHERE tenant_id = of_tenant AND id = of_invoice FOR UPDATE;
    WITH own AS (
        SELECT id, coalesce(adjusts, id) AS first_line, tax_percent
          FROM billing_invoiceline WHERE tenant_id = of_tenant AND invoice_id = of_invoice
    ), related AS (
        SELECT l.id, coalesce(l.adjusts, l.id) AS first_line, l.tax_percent,
               l.invoice_id = of_invoice AS is_own,
               l.amount_minor - l.discount_minor AS net
          FROM billing_invoiceline l
          JOIN billing_invoice i ON i.tenant_id = l.tenant_id AND i.id = l.invoice_id
         WHERE l.tenant_id = of_tenant
           AND coalesce(l.adjusts, l.id) IN (SELECT first_line FROM own)
           AND (i.status NOT IN ('draft', 'void') OR EXISTS (
                SELECT FROM billing_creditnote n
                 WHERE n.tenant_id = i.tenant_id AND n.document_id = i.id))
    ), taken AS (
        SELECT t.line, sum(t.net) AS net FROM (
            SELECT c.invoice_line_id AS line, c.amount_minor AS net FROM billing_creditnoteline c
             WHERE c.tenant_id = of_tenant AND c.invoice_line_id IN (SELECT id FROM related)
            UNION ALL
            SELECT a.invoice_line_id, a.amount_minor FROM billing_invoicerequestline a
              JOIN billing_invoicerequest r ON r.tenant_id = a.tenant_id AND r.id = a.request_id
             WHERE a.tenant_id = of_tenant AND r.state = 'waiting'
               AND a.invoice_line_id IN (SELECT id FROM related)
        ) AS t GROUP BY t.line
    ), counted AS (
        SELECT r.*, coalesce(t.net, 0) AS taken FROM related r LEFT JOIN taken t ON t.line = r.id
    )
    SELECT what INTO beyond FROM (
        SELECT 'line ' || id AS what FROM counted WHERE is_own AND taken > 0 AND taken > net
        UNION ALL
        SELECT 'line ' || first_line || ' with what adjusts it' FROM counted
         GROUP BY first_line HAVING sum(taken) > 0 AND sum(taken) > sum(net)
        UNION ALL
        SELECT tax_percent || ' percent' FROM counted WHERE is_own
         GROUP BY tax_percent HAVING sum(taken) > 0 AND sum(taken) > sum(net)
    ) AS found LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'invoice % would be credited beyond %', of_invoice, beyond
            USING ERRCODE = 'integrity_constraint_violation',
                  CONSTRAINT = 'billing_invoice_request_room';
    END IF;
END $$;

CREATE FUNCTION billing_guard_asked_line() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    of_invoice uuid;
BEGIN
    SELECT r.invoice_id INTO of_invoice FROM billing_invoicerequest r
      JOIN billing_invoiceline l ON l.tenant_id = r.tenant_id AND l.invoice_id = r.invoice_id
     WHERE r.tenant_id = NEW.tenant_id AND r.id = NEW.request_id AND r.state = 'waiting'
       AND r.action = 'credit' AND l.id = NEW.invoice_line_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the request is not of that line''s invoice, or was decided'
            USING ERRCODE = 'integrity_constraint_violation',
                  CONSTRAINT = 'billing_invoice_request_room';
    END IF;
    PERFORM billing_require_room(NEW.tenant_id, of_invoice);
    RETURN NULL;
END $$;
CREATE TRIGGER billing_invoicerequestline_room AFTER INSERT ON billing_invoicerequestline
    FOR EACH ROW EXECUTE FUNCTION billing_guard_asked_line();

-- What is asked for is what its lines come to, and what was approved is what was issued.
CREATE FUNCTION billing_require_asked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.action = 'credit' AND (NEW.total_minor - NEW.tax_minor, NEW.tax_minor) IS DISTINCT FROM
       (SELECT (sum(a.amount_minor)::bigint, sum(a.tax_minor)::bigint)
          FROM billing_invoicerequestline a
         WHERE a.tenant_id = NEW.tenant_id AND a.request_id = NEW.id)
    THEN
        RAISE EXCEPTION 'request %: its lines do not sum to its total', NEW.id
            USING ERRCODE = 'integrity_constraint_violation',
                  CONSTRAINT = 'billing_invoice_request_sum';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER billing_invoicerequest_sum AFTER INSERT ON billing_invoicerequest
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_require_asked();

CREATE FUNCTION billing_guard_approved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM (
            SELECT a.invoice_line_id, a.amount_minor, a.tax_minor
              FROM billing_invoicerequestline a
             WHERE a.tenant_id = NEW.tenant_id AND a.request_id = NEW.id) AS asked
          FULL JOIN (
            SELECT c.invoice_line_id, c.amount_minor, c.tax_minor
              FROM billing_creditnoteline c
              JOIN billing_creditnote n ON n.tenant_id = c.tenant_id AND n.id = c.credit_note_id
             WHERE c.tenant_id = NEW.tenant_id AND c.credit_note_id = NEW.credit_note_id
               AND n.invoice_id = NEW.invoice_id) AS issued
            USING (invoice_line_id, amount_minor, tax_minor)
         WHERE asked.amount_minor IS NULL OR issued.amount_minor IS NULL)
    THEN
        RAISE EXCEPTION 'request %: the credit note is not what was asked for', NEW.id
            USING ERRCODE = 'integrity_constraint_violation',
                  CONSTRAINT = 'billing_invoice_request_note';
    END IF;
    PERFORM billing_require_room(NEW.tenant_id, NEW.invoice_id);
    RETURN NULL;
END $$;
CREATE TRIGGER billing_invoicerequest_approved AFTER UPDATE ON billing_invoicerequest
    FOR EACH ROW WHEN (NEW.action = 'credit' AND NEW.state = 'done')
    EXECUTE FUNCTION billing_guard_approved();
"""
_UNDO_ROOM = """
DROP FUNCTION billing_guard_asked_line() CASCADE;
DROP FUNCTION billing_require_asked() CASCADE;
DROP FUNCTION billing_guard_approved() CASCADE;
DROP FUNCTION billing_require_room(uuid, uuid);
"""

_KEPT = """
CREATE TRIGGER billing_invoicerequest_guard BEFORE UPDATE OR DELETE ON billing_invoicerequest
    FOR EACH ROW EXECUTE FUNCTION tenants_guard_request(
        'billing_invoice_request', 'decided_reason', 'credit_note_id');
CREATE TRIGGER billing_invoicerequest_no_truncate BEFORE TRUNCATE ON billing_invoicerequest
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER billing_invoicerequestline_append_only
    BEFORE UPDATE OR DELETE ON billing_invoicerequestline
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_change();
CREATE TRIGGER billing_invoicerequestline_no_truncate BEFORE TRUNCATE ON billing_invoicerequestline
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();
DROP FUNCTION billing_guard_period_request() CASCADE;
CREATE TRIGGER billing_periodrequest_guard BEFORE UPDATE OR DELETE ON billing_periodrequest
    FOR EACH ROW EXECUTE FUNCTION tenants_guard_request('billing_period_request');
"""
_UNDO_KEPT = """
DROP TRIGGER billing_invoicerequest_guard ON billing_invoicerequest;
DROP TRIGGER billing_invoicerequest_no_truncate ON billing_invoicerequest;
DROP TRIGGER billing_invoicerequestline_append_only ON billing_invoicerequestline;
DROP TRIGGER billing_invoicerequestline_no_truncate ON billing_invoicerequestline;
DROP TRIGGER billing_periodrequest_guard ON billing_periodrequest;
CREATE FUNCTION billing_guard_period_request() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR OLD.state <> 'waiting'
        OR (NEW.id, NEW.month, NEW.action, NEW.reason, NEW.requested_by, NEW.requested_at)
           IS DISTINCT FROM
           (OLD.id, OLD.month, OLD.action, OLD.reason, OLD.requested_by, OLD.requested_at)
    THEN
        RAISE EXCEPTION 'what was asked for stays, and is decided once'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'billing_period_request';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_periodrequest_guard BEFORE UPDATE OR DELETE ON billing_periodrequest
    FOR EACH ROW EXECUTE FUNCTION billing_guard_period_request();
"""

# An issued invoice was sent: it stands in the portal. None could become void before either, by any code.
_STATUS = """
CREATE OR REPLACE FUNCTION billing_guard_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    frozen_before jsonb;
    frozen_after jsonb;
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.status <> 'draft' THEN
            RAISE EXCEPTION 'invoice % is issued and can not be deleted', OLD.id
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN OLD;
    END IF;
    IF NEW.status <> OLD.status AND NOT (
        (OLD.status = 'draft' AND NEW.status IN ('open', 'void'))
        OR (OLD.status = 'open' AND NEW.status IN ({after_open}))
        OR (OLD.status = 'uncollectible' AND NEW.status = 'paid')) THEN
        RAISE EXCEPTION 'invoice % can not go from % to %', OLD.id, OLD.status, NEW.status
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.status <> 'draft' THEN
        frozen_before := to_jsonb(OLD) - 'status' - 'paid_minor' - 'paid_at';
        frozen_after := to_jsonb(NEW) - 'status' - 'paid_minor' - 'paid_at';
        IF frozen_before IS DISTINCT FROM frozen_after THEN
            RAISE EXCEPTION 'invoice % is issued: only its status and payment may change', OLD.id
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    END IF;
    RETURN NEW;
END $$;
"""

_KEYS = (
    ("billing_invoicerequest", "invoice_id", "billing_invoice"),
    ("billing_invoicerequest", "credit_note_id", "billing_creditnote"),
    ("billing_invoicerequestline", "request_id", "billing_invoicerequest"),
)


def _fill(apps, schema_editor):  # type: ignore[no-untyped-def]  # Django's signature
    """The account that the chart has gained."""
    alias = schema_editor.connection.alias
    account = apps.get_model("billing", "LedgerAccount")
    for code, kind in CHART.items():
        account.objects.using(alias).get_or_create(code=code.value, defaults={"kind": kind.value})


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0032_top_ups"),
        ("tenants", "0005_two_people"),
    ]

    operations = [
        migrations.AlterField(
            model_name="ledgeraccount",
            name="code",
            field=models.CharField(
                choices=[
                    ("receivable", "receivable"),
                    ("bank", "bank"),
                    ("stripe_clearing", "stripe_clearing"),
                    ("customer_credit", "customer_credit"),
                    ("top_ups_due", "top_ups_due"),
                    ("gift_credit", "gift_credit"),
                    ("voucher_credit", "voucher_credit"),
                    ("promotion", "promotion"),
                    ("bad_debt", "bad_debt"),
                    ("deferred_revenue", "deferred_revenue"),
                    ("revenue", "revenue"),
                    ("tax_payable", "tax_payable"),
                ],
                max_length=32,
                primary_key=True,
                serialize=False,
            ),
        ),
        migrations.CreateModel(
            name="InvoiceRequest",
            fields=[
                ("requested_by", models.CharField(max_length=254)),
                ("requested_at", models.DateTimeField()),
                ("state", models.CharField(default="waiting", max_length=16)),
                ("decided_by", models.CharField(blank=True, max_length=254)),
                ("decided_at", models.DateTimeField(null=True)),
                (
                    "id",
                    models.UUIDField(default=kernel.ids.new_id, primary_key=True, serialize=False),
                ),
                (
                    "action",
                    models.CharField(
                        choices=[("credit", "credit"), ("write_off", "write_off")], max_length=16
                    ),
                ),
                ("currency", models.CharField(max_length=3)),
                ("tax_minor", models.BigIntegerField(default=0)),
                ("total_minor", models.BigIntegerField()),
                ("reason", models.CharField(max_length=500)),
                ("decided_reason", models.CharField(blank=True, max_length=500)),
                (
                    "credit_note",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.creditnote",
                    ),
                ),
                (
                    "invoice",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="requests",
                        to="billing.invoice",
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
            name="InvoiceRequestLine",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kernel.ids.new_id, primary_key=True, serialize=False),
                ),
                ("position", models.PositiveIntegerField()),
                ("amount_minor", models.BigIntegerField()),
                ("tax_minor", models.BigIntegerField()),
                (
                    "invoice_line",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.invoiceline",
                    ),
                ),
                (
                    "request",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="lines",
                        to="billing.invoicerequest",
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
            model_name="invoicerequest",
            index=models.Index(fields=["-requested_at"], name="billing_invoice_request_new"),
        ),
        migrations.AddIndex(
            model_name="invoicerequest",
            index=models.Index(
                condition=models.Q(("state", "waiting")),
                fields=["requested_at"],
                name="billing_invoice_request_waits",
            ),
        ),
        migrations.AddIndex(
            model_name="invoicerequest",
            index=models.Index(fields=["tenant", "invoice"], name="billing_invoice_request_of"),
        ),
        migrations.AddConstraint(
            model_name="invoicerequest",
            constraint=models.UniqueConstraint(
                fields=("tenant", "id"), name="billing_invoice_request_tenant_id"
            ),
        ),
        migrations.AddConstraint(
            model_name="invoicerequest",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "action__in",
                        [
                            billing.invoicing.domain.RequestedAction["CREDIT"],
                            billing.invoicing.domain.RequestedAction["WRITE_OFF"],
                        ],
                    ),
                    (
                        "state__in",
                        [
                            billing.invoicing.domain.InvoiceRequestState["WAITING"],
                            billing.invoicing.domain.InvoiceRequestState["DONE"],
                            billing.invoicing.domain.InvoiceRequestState["REFUSED"],
                            billing.invoicing.domain.InvoiceRequestState["WITHDRAWN"],
                            billing.invoicing.domain.InvoiceRequestState["EXPIRED"],
                        ],
                    ),
                ),
                name="billing_invoice_request_state",
            ),
        ),
        migrations.AddConstraint(
            model_name="invoicerequest",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("tax_minor__gte", 0),
                    ("total_minor__gt", 0),
                    ("total_minor__gte", models.F("tax_minor")),
                    models.Q(("reason", ""), _negated=True),
                ),
                name="billing_invoice_request_content",
            ),
        ),
        migrations.AddConstraint(
            model_name="invoicerequest",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("action", "credit"), ("credit_note__isnull", False), ("state", "done")
                    ),
                    models.Q(
                        models.Q(("action", "credit"), ("state", "done"), _negated=True),
                        ("credit_note__isnull", True),
                    ),
                    _connector="OR",
                ),
                name="billing_invoice_request_note",
            ),
        ),
        migrations.AddConstraint(
            model_name="invoicerequest",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "refused"), _negated=True),
                    models.Q(("decided_reason", ""), _negated=True),
                    _connector="OR",
                ),
                name="billing_invoice_request_refused",
            ),
        ),
        migrations.AddConstraint(
            model_name="invoicerequest",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("decided_at__isnull", True), ("decided_by", ""), ("state", "waiting")
                    ),
                    models.Q(
                        models.Q(("state", "waiting"), _negated=True),
                        ("decided_at__isnull", False),
                        models.Q(("decided_by", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="billing_invoice_request_decided",
            ),
        ),
        migrations.AddConstraint(
            model_name="invoicerequest",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "done"), _negated=True),
                    models.Q(("decided_by", models.F("requested_by")), _negated=True),
                    _connector="OR",
                ),
                name="billing_invoice_request_two_people",
            ),
        ),
        migrations.AddConstraint(
            model_name="invoicerequest",
            constraint=models.UniqueConstraint(
                condition=models.Q(("action", "write_off"), ("state", "waiting")),
                fields=("tenant", "invoice"),
                name="billing_invoice_request_write_off_once",
            ),
        ),
        migrations.AddIndex(
            model_name="invoicerequestline",
            index=models.Index(
                fields=["tenant", "invoice_line"], name="billing_invoice_request_line"
            ),
        ),
        migrations.AddConstraint(
            model_name="invoicerequestline",
            constraint=models.UniqueConstraint(
                fields=("tenant", "request", "position"), name="billing_invoice_request_line_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="invoicerequestline",
            constraint=models.CheckConstraint(
                condition=models.Q(("amount_minor__gt", 0), ("tax_minor__gte", 0)),
                name="billing_invoice_request_line_positive",
            ),
        ),
        migrations.AddConstraint(
            model_name="invoicerequest",
            constraint=models.UniqueConstraint(
                fields=("tenant", "credit_note"), name="billing_invoice_request_note_once"
            ),
        ),
        migrations.RunSQL(_ROOM, _UNDO_ROOM),
        migrations.RunSQL(_KEPT, _UNDO_KEPT),
        migrations.RunSQL(
            _STATUS.replace("{after_open}", "'paid', 'uncollectible'"),
            _STATUS.replace("{after_open}", "'paid', 'void', 'uncollectible'"),
        ),
        *[
            migrations.RunSQL(
                f"ALTER TABLE {table} ADD CONSTRAINT {table}_{column}_of_tenant"
                f" FOREIGN KEY (tenant_id, {column}) REFERENCES {target} (tenant_id, id)"
                " DEFERRABLE INITIALLY IMMEDIATE",
                f"ALTER TABLE {table} DROP CONSTRAINT {table}_{column}_of_tenant",
            )
            for table, column, target in _KEYS
        ],
        migrations.RunPython(_fill, migrations.RunPython.noop),
    ]
