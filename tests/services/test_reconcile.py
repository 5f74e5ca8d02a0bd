"""`reconcile --date`: what was counted, billed and posted agree, or the first difference is named; and
the daily certificate that is signed about it."""

import io
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.core.management import call_command
from django.db import IntegrityError, connections
from django.test import Client

from billing.certificates.models import Certificate
from billing.certificates.services import certify_recent_days
from billing.invoicing.crediting import LineCredit
from billing.invoicing.models import Invoice
from billing.invoicing.services.credit_invoice import credit_invoice
from billing.invoicing.services.run_billing import create_run, execute_run
from kernel import clock
from kernel.money import Money
from metering.services import close_days, set_usage
from tenants.domain import StaffRole
from tenants.models import User
from tenants.scope import system_scope
from tenants.services.create_tenant import CreatedTenant
from tests.factories import a_plan, a_subscription, a_tenant
from tests.services.metering_world import message, send
from work.connections import OWNER
from work.models import OutboxMessage

DAY = date(2026, 3, 5)
ISSUED = date(2026, 4, 2)
POSTED = date(2026, 4, 1)
"""Documents belong to the day of their own zone, other transactions to that of UTC."""
FINAL_AT = "2026-04-02T00:00:00+08:00"


@pytest.fixture
def acme(db: None) -> CreatedTenant:
    """15 users on 5 March, one of them twice; March closed and billed on 2 April."""
    a_plan()
    tenant = a_tenant()
    a_subscription(tenant)
    events = [
        message(str(number), f"u{number}", f"2026-03-05T1{number % 10}:00:00+08:00")
        for number in range(15)
    ]
    events.append(message("again", "u1", "2026-03-05T20:00:00+08:00"))
    send(tenant.id, events, now=datetime(2026, 3, 5, 13, tzinfo=UTC))
    with clock.moved_to(datetime.fromisoformat(FINAL_AT)), system_scope(purpose="test"):
        close_days(now=clock.now())
        run_id = create_run(at=clock.now(), finalize=True, requested_by="test", now=clock.now())
    execute_run(run_id=run_id, clock=clock.now)
    return tenant


def reconciled(day: date) -> tuple[int, dict[str, Any]]:
    out = io.StringIO()
    try:
        call_command("reconcile", "--date", day.isoformat(), "--json", stdout=out)
    except SystemExit as left:
        return int(left.code or 0), json.loads(out.getvalue())
    return 0, json.loads(out.getvalue())


def compared(document: dict[str, Any]) -> dict[str, int]:
    return {check["name"]: check["compared"] for check in document["checks"]}


def past_the_guards(statement: str) -> None:
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            f"SET session_replication_role = replica; {statement};"
            "SET session_replication_role = DEFAULT"
        )
    connections[OWNER].close()


def test_a_day_of_usage_agrees_with_its_events(acme: CreatedTenant) -> None:
    status, found = reconciled(DAY)
    assert (status, found["ok"], found["closed"], found["state"]) == (0, True, True, "agreed")
    # Daily active users and messages: two values, of 15 users and 16 messages.
    assert compared(found)["events"] == 2
    assert {each["meter"]: each["total"] for each in found["usage"]} == {
        "dau": "15",
        "messages": "16",
    }
    assert compared(found)["closed_days"] == 1
    assert "first_bad" not in found


def test_a_day_of_issue_agrees_with_usage_and_ledger(acme: CreatedTenant) -> None:
    with system_scope(purpose="test"):
        invoice = Invoice.objects.filter(lines__kind="usage").get()
        line = invoice.lines.get(kind="usage")
        credit_invoice(
            invoice_id=invoice.id,
            lines=[LineCredit(position=line.position, amount=Money.of("1.00", "CNY"))],
            reason="test",
            now=datetime.fromisoformat(FINAL_AT),
            actor="test",
        )
    status, found = reconciled(ISSUED)
    assert (status, found["ok"]) == (0, True)
    # The 31 days of March stand behind the quantity only where there was usage: one.
    assert compared(found)["invoice_quantities"] == 1
    # Two invoices (the base of March, and March's usage with the base of April) and a credit note.
    assert compared(found)["invoice_lines"] == 3
    (cny,) = found["documents"]
    assert cny["documents"] == 3
    # 199.00 twice and 5.00 for the five users above ten, less the credit.
    assert cny["total_minor"] == cny["posted_minor"] == 2 * 199_00 + 5_00 - 1_00


@pytest.mark.parametrize(
    ("day", "statement", "check", "code"),
    [
        (
            DAY,
            "UPDATE metering_daily_usage SET value = 14 WHERE meter = 'dau'",
            "events",
            "usage_differs",
        ),
        (
            DAY,
            (
                "INSERT INTO metering_daily_usage (tenant_id, app_id, meter, day, kind, value)"
                " SELECT tenant_id, app_id, meter, day, 'group', 1 FROM metering_daily_usage"
                " WHERE meter = 'messages'"
            ),
            "closed_days",
            "closed_day_changed",
        ),
        (
            ISSUED,
            "UPDATE metering_daily_usage SET value = 99 WHERE meter = 'dau'",
            "invoice_quantities",
            "quantity_differs",
        ),
        (
            ISSUED,
            (
                "INSERT INTO metering_daily_usage (tenant_id, app_id, meter, day, kind, value)"
                " SELECT tenant_id, app_id, meter, '2026-03-09', '', 2 FROM metering_daily_usage"
                " WHERE meter = 'dau'"
            ),
            "invoice_quantities",
            "quantity_differs",
        ),
        (
            ISSUED,
            "UPDATE billing_invoiceline SET amount_minor = amount_minor + 1 WHERE kind = 'usage'",
            "invoice_lines",
            "lines_differ",
        ),
        (
            ISSUED,
            (
                "UPDATE billing_journalentry SET amount_minor = amount_minor * 2 WHERE transaction_id ="
                " (SELECT transaction_id FROM billing_journalentry WHERE account = 'revenue' LIMIT 1)"
            ),
            "ledger",
            "posting_differs",
        ),
        (
            POSTED,
            (
                "UPDATE billing_journalentry SET amount_minor = amount_minor - 1"
                " WHERE account = 'revenue'"
            ),
            "ledger",
            "unbalanced_transaction",
        ),
    ],
)
def test_what_somebody_changed_is_named(
    acme: CreatedTenant, day: date, statement: str, check: str, code: str
) -> None:
    past_the_guards(statement)
    status, found = reconciled(day)
    # The journal is put back, since every test ends with one that balances.
    past_the_guards("DELETE FROM billing_journalentry; DELETE FROM billing_journaltransaction")

    assert (status, found["ok"], found["state"]) == (1, False, "drifted")
    codes = {each["name"]: [one["code"] for one in each["findings"]] for each in found["checks"]}
    assert code in codes[check]
    assert found["first_bad"]["code"] in {one for each in codes.values() for one in each}
    with system_scope(purpose="test"):
        assert OutboxMessage.objects.filter(topic="certificate.drifted").count() == 1


def test_missing_reports_that_hold_the_day_are_named(acme: CreatedTenant) -> None:
    past_the_guards(
        "INSERT INTO metering_gateway (id, key, deployment, secret, created_at, created_by) VALUES"
        " (gen_random_uuid(), 'gw-1', '', '', now(), 'test');"
        "INSERT INTO metering_gateway_gap (id, gateway_id, epoch, first_sequence, last_sequence,"
        " held_from, noticed_at, released_by, reason) SELECT gen_random_uuid(), id, '', 7, 9,"
        " '2026-03-05T00:00Z', now(), '', '' FROM metering_gateway"
    )
    _, found = reconciled(DAY)
    assert found["first_bad"] == {
        "code": "reports_missing",
        "gateway": "gw-1",
        "epoch": "",
        "first": 7,
        "last": 9,
    }
    assert reconciled(DAY - timedelta(days=1))[0] == 0


def test_values_recorded_outright_are_told_apart_from_differences(acme: CreatedTenant) -> None:
    with system_scope(purpose="test"):
        for day, value in ((DAY, 20), (DAY + timedelta(days=1), 7)):
            set_usage(
                tenant_id=acme.id,
                app_id=acme.apps[0].id,
                meter="dau",
                day=day,
                value=Decimal(value),
                now=clock.now(),
                reason="counted by the old system",
            )
    for day in (DAY, DAY + timedelta(days=1)):
        status, found = reconciled(day)
        (events,) = [each for each in found["checks"] if each["name"] == "events"]
        assert (status, events["noted"], events["differences"]) == (0, 1, 0)


def test_usage_that_came_after_the_invoice_is_noted_not_named(acme: CreatedTenant) -> None:
    send(
        acme.id,
        [message("late", "u99", "2026-03-05T12:00:00+08:00")],
        now=datetime(2026, 4, 3, tzinfo=UTC),
    )
    status, found = reconciled(ISSUED)
    (quantities,) = [each for each in found["checks"] if each["name"] == "invoice_quantities"]
    assert (status, quantities["differences"], quantities["noted"]) == (0, 0, 1)
    assert reconciled(DAY)[0] == 0


class TestCertificate:
    def test_is_kept_once_and_again_where_the_day_looks_otherwise(
        self, acme: CreatedTenant
    ) -> None:
        first = reconciled(DAY)[1]["certificate"]
        again = reconciled(DAY)[1]["certificate"]
        assert (first["new"], again["new"]) == (True, False)
        assert (first["version"], first["signature"]) == (1, again["signature"])
        send(
            acme.id,
            [message("late", "u99", "2026-03-05T12:00:00+08:00")],
            now=datetime(2026, 4, 3, tzinfo=UTC),
        )
        assert reconciled(DAY)[1]["certificate"]["version"] == 2

    def test_is_signed_over_its_text(self, acme: CreatedTenant) -> None:
        told = reconciled(DAY)[1]["certificate"]
        with system_scope(purpose="test"):
            row = Certificate.objects.get(day=DAY)
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(told["public_key"]))
        key.verify(bytes.fromhex(told["signature"]), row.text.encode())
        with pytest.raises(InvalidSignature):
            key.verify(bytes(row.signature), row.text.replace("agreed", "Agreed").encode())
        head, document, end = row.text.split("\n")
        assert (head, end) == ("Summit daily certificate, version 1", "")
        assert json.loads(document)["usage"][0] == {"meter": "dau", "values": 1, "total": "15"}

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE billing_certificate SET state = 'drifted'",
            "DELETE FROM billing_certificate",
            "TRUNCATE billing_certificate",
        ],
    )
    def test_is_never_changed(self, acme: CreatedTenant, statement: str) -> None:
        reconciled(DAY)
        with pytest.raises(IntegrityError), connections[OWNER].cursor() as cursor:
            cursor.execute(statement)
        with system_scope(purpose="test"):
            assert Certificate.objects.get().state == "agreed"

    def test_of_an_open_day_there_is_none(self, acme: CreatedTenant) -> None:
        today = clock.now().astimezone(UTC).date()
        status, found = reconciled(today)
        assert (status, found["ok"], found["closed"]) == (0, True, False)
        assert "certificate" not in found
        with system_scope(purpose="test"):
            assert not Certificate.objects.exists()

    def test_the_schedule_makes_what_is_missing_and_then_nothing(self, acme: CreatedTenant) -> None:
        now = datetime(2026, 4, 4, 18, tzinfo=UTC)
        made = certify_recent_days(now=now)
        assert len(made) == 35
        assert sum(each.is_new for each in made.values()) == 35
        again = certify_recent_days(now=now + timedelta(hours=5))
        assert set(again) == {date(2026, 4, day) for day in (1, 2, 3)}
        assert not any(each.is_new for each in again.values())

    def test_is_shown_in_the_console(self, acme: CreatedTenant) -> None:
        past_the_guards("UPDATE metering_daily_usage SET value = 14 WHERE meter = 'dau'")
        reconciled(DAY)
        with system_scope(purpose="test"):
            auditor = User.objects.create_user("auditor@summit.test", staff_role=StaffRole.AUDITOR)
            row = Certificate.objects.get()
        client = Client()
        client.force_login(auditor, backend="allauth.account.auth_backends.AuthenticationBackend")
        assert "2026-03-05" in client.get("/console/certificates/").content.decode()
        shown = client.get(f"/console/certificates/{row.id}/").content.decode()
        assert "Usage is not what the events say" in shown
        assert bytes(row.signature).hex() in shown
        missing = client.get("/console/certificates/00000000-0000-0000-0000-000000000000/")
        assert missing.status_code == 404
