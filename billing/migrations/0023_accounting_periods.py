"""Months of the books: the tables, and that the journal takes nothing into a closed one.

Who posts shares a lock until the transaction ends, who closes or opens a month takes it alone: a posting is
either there when the month is looked at, or finds it closed. The lock is named by the journal's own
number, so that a sandbox, which has its own, keeps nobody waiting.
"""

from typing import ClassVar

import billing.ledger.domain
import django.db.models.deletion
import kernel.ids
from django.db import migrations, models

_GUARDS = """
CREATE FUNCTION billing_books_open_from() RETURNS timestamptz LANGUAGE plpgsql AS $$
DECLARE
    last_closed date;
BEGIN
    PERFORM pg_advisory_xact_lock_shared('billing_journaltransaction'::regclass::oid::int, 1);
    -- A statement of its own: it sees what was closed while the lock was waited for.
    SELECT max(month) INTO last_closed FROM billing_accountingperiod WHERE is_closed;
    RETURN (last_closed + interval '1 month')::timestamp AT TIME ZONE 'UTC';
END $$;

CREATE FUNCTION billing_refuse_closed_period() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    open_from timestamptz := billing_books_open_from();
BEGIN
    IF EXISTS (SELECT FROM posted WHERE posted_at < open_from) THEN
        RAISE EXCEPTION 'the books are closed before %', open_from
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'billing_period_closed';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER billing_journaltransaction_open_period AFTER INSERT ON billing_journaltransaction
    REFERENCING NEW TABLE AS posted
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_closed_period();

CREATE FUNCTION billing_guard_period() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock('billing_journaltransaction'::regclass::oid::int, 1);
    IF TG_OP = 'DELETE' OR NEW.month <> date_trunc('month', NEW.month)::date
        OR (TG_OP = 'UPDATE' AND NEW.month <> OLD.month)
        OR NOT EXISTS (SELECT FROM billing_periodrequest asked
                        WHERE asked.id = NEW.request_id AND asked.month = NEW.month
                          AND asked.state = 'done' AND asked.decided_at = NEW.changed_at
                          AND asked.action = CASE WHEN NEW.is_closed THEN 'close' ELSE 'reopen' END)
        OR (TG_OP = 'UPDATE' AND NEW.changed_at <= OLD.changed_at)
    THEN
        RAISE EXCEPTION 'a month of the books is closed and opened by requests that two people stand behind'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'billing_period_request';
    END IF;
    IF EXISTS (SELECT FROM billing_accountingperiod WHERE is_closed AND month > NEW.month)
        OR (NEW.is_closed AND EXISTS (
            SELECT FROM billing_journaltransaction
             WHERE posted_at < NEW.month::timestamp AT TIME ZONE 'UTC'
               AND posted_at >= coalesce((SELECT (max(month) + interval '1 month')::timestamp
                                                 AT TIME ZONE 'UTC'
                                            FROM billing_accountingperiod
                                           WHERE is_closed AND month < NEW.month), '-infinity')))
    THEN
        RAISE EXCEPTION 'months are closed in their order and opened in the reverse one'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'billing_period_order';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_accountingperiod_guard BEFORE INSERT OR UPDATE OR DELETE
    ON billing_accountingperiod FOR EACH ROW EXECUTE FUNCTION billing_guard_period();
CREATE TRIGGER billing_accountingperiod_no_truncate BEFORE TRUNCATE ON billing_accountingperiod
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();

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
CREATE TRIGGER billing_periodrequest_no_truncate BEFORE TRUNCATE ON billing_periodrequest
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();
"""
_UNGUARD = """
DROP FUNCTION billing_refuse_closed_period() CASCADE;
DROP FUNCTION billing_guard_period() CASCADE;
DROP FUNCTION billing_guard_period_request() CASCADE;
DROP TRIGGER billing_accountingperiod_no_truncate ON billing_accountingperiod;
DROP TRIGGER billing_periodrequest_no_truncate ON billing_periodrequest;
DROP FUNCTION billing_books_open_from();
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("billing", "0022_fapiao"),
    ]

    operations: ClassVar = [
        migrations.CreateModel(
            name="PeriodRequest",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kernel.ids.new_id, primary_key=True, serialize=False),
                ),
                ("month", models.DateField()),
                (
                    "action",
                    models.CharField(
                        choices=[("close", "close"), ("reopen", "reopen")], max_length=8
                    ),
                ),
                ("reason", models.CharField(blank=True, max_length=200)),
                ("requested_by", models.CharField(max_length=254)),
                ("requested_at", models.DateTimeField()),
                ("state", models.CharField(default="waiting", max_length=16)),
                ("decided_by", models.CharField(blank=True, max_length=254)),
                ("decided_at", models.DateTimeField(null=True)),
            ],
            options={
                "indexes": [
                    models.Index(fields=["-requested_at"], name="billing_per_request_287598_idx")
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "action__in",
                                [
                                    billing.ledger.domain.PeriodAction["CLOSE"],
                                    billing.ledger.domain.PeriodAction["REOPEN"],
                                ],
                            ),
                            ("state__in", ["waiting", "done", "refused"]),
                        ),
                        name="billing_period_request_state",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("decided_at__isnull", True),
                                ("decided_by", ""),
                                ("state", "waiting"),
                            ),
                            models.Q(
                                models.Q(("state", "waiting"), _negated=True),
                                ("decided_at__isnull", False),
                                models.Q(("decided_by", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="billing_period_request_decided",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "done"), _negated=True),
                            models.Q(("decided_by", models.F("requested_by")), _negated=True),
                            _connector="OR",
                        ),
                        name="billing_period_request_two_people",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("action", "close"),
                            models.Q(("reason", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="billing_period_request_reason",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("state", "waiting")),
                        fields=("month",),
                        name="billing_period_request_waits_once",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="AccountingPeriod",
            fields=[
                ("month", models.DateField(primary_key=True, serialize=False)),
                ("is_closed", models.BooleanField()),
                ("changed_at", models.DateTimeField()),
                ("figures", models.JSONField(default=list)),
                (
                    "request",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.periodrequest",
                    ),
                ),
            ],
        ),
        migrations.RunSQL(_GUARDS, _UNGUARD),
    ]
