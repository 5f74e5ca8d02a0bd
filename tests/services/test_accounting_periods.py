"""Months of the books: closed and opened by two people, in order; nothing is posted into a closed one."""

import threading
from datetime import UTC, date, datetime
from uuid import UUID

import pytest
from django.db import IntegrityError, connections
from django.test import Client

from billing.certificates.services import certify_day
from billing.closing.domain import Hindrance
from billing.closing.queries import (
    PeriodState,
    figures_of,
    first_period_drift,
    hinders,
    period_rows,
    period_view,
)
from billing.closing.services.decide_period import approve_period, refuse_period
from billing.closing.services.request_period import request_period
from billing.ledger.domain import BalanceKind, PeriodAction
from billing.ledger.models import AccountingPeriod, JournalTransaction, PeriodRequest
from billing.ledger.services.recognize_revenue import recognize_revenue
from billing.payments.services.grant_balance import grant_balance
from kernel import clock
from kernel.errors import Conflict, DomainError, Forbidden, Invalid, NotFound
from kernel.money import Money
from metering.services import close_days
from tenants.domain import StaffRole
from tenants.models import AuditRecord, User
from tenants.scope import system_scope
from tests.factories import a_plan, a_subscription, a_tenant, some_usage
from tests.services.test_billing_run import bill, listed
from tests.services.test_reconcile import past_the_guards
from work.connections import OWNER

pytestmark = pytest.mark.usefixtures("db")

FEBRUARY, MARCH, APRIL = date(2026, 2, 1), date(2026, 3, 1), date(2026, 4, 1)
BILLED_AT = "2026-04-02T00:00:00+08:00"
NOW = datetime(2026, 4, 5, 12, tzinfo=UTC)


@pytest.fixture
def march() -> UUID:
    """A tenant whose March is used, billed, recognised and certified; nothing hinders its close."""
    a_plan()
    tenant = a_tenant()
    a_subscription(tenant)
    some_usage(tenant, {date(2026, 3, 5): 35})
    with clock.moved_to(NOW):
        bill("2026-03-01T00:00:00+08:00")
        bill(BILLED_AT)
        recognize_revenue(through=date(2026, 4, 4), now=NOW)
        certify_march()
    return tenant.id


def certify_march() -> None:
    with system_scope(purpose="test"):
        close_days(now=NOW)
    for day in (date(2026, 2, 28), *(date(2026, 3, n) for n in range(1, 32))):
        certify_day(day=day, now=NOW)


def ask(
    month: date = MARCH,
    action: PeriodAction = PeriodAction.CLOSE,
    *,
    reason: str = "",
    now: datetime = NOW,
    actor: str = "user:1",
) -> UUID:
    with system_scope(purpose="test"):
        return request_period(month=month, action=action, reason=reason, now=now, actor=actor)


def approve(request_id: UUID, *, now: datetime = NOW, actor: str = "user:2") -> None:
    with system_scope(purpose="test"):
        approve_period(request_id=request_id, now=now, actor=actor)


def close(month: date = MARCH) -> None:
    approve(ask(month))


def in_the_way(month: date = MARCH, *, now: datetime = NOW) -> dict[Hindrance, int]:
    with system_scope(purpose="test"):
        return {each.what: each.count for each in hinders(month=month, now=now)}


def states() -> list[tuple[date, PeriodState]]:
    with system_scope(purpose="test"):
        return [(row.month, row.state) for row in period_rows(now=NOW, limit=10)]


def grant(tenant_id: UUID, *, now: datetime) -> None:
    with system_scope(purpose="test"):
        grant_balance(
            tenant_id=tenant_id,
            kind=BalanceKind.CASH,
            amount=Money.of("10.00", "CNY"),
            expires_at=None,
            reason="test",
            now=now,
            actor="test",
        )


def test_months_are_closed_in_their_order_by_two_people(march: UUID) -> None:
    # The base of March was billed at local midnight of its first day, which is February by UTC.
    assert [month for month, _ in states()] == [APRIL, MARCH, FEBRUARY]
    assert in_the_way() == {Hindrance.EARLIER_OPEN: 1}
    with pytest.raises(Conflict) as refused:
        ask()
    assert refused.value.code == "period_hindered"
    close(FEBRUARY)
    assert in_the_way() == {}
    request_id = ask()
    assert states()[1] == (MARCH, PeriodState.CLOSING)
    with pytest.raises(Forbidden) as same:
        approve(request_id, actor="user:1")
    assert same.value.code == "same_person"
    approve(request_id)
    assert states()[:2] == [(APRIL, PeriodState.OPEN), (MARCH, PeriodState.CLOSED)]
    with system_scope(purpose="test"):
        stored = AccountingPeriod.objects.get(month=MARCH)
        assert stored.figures == figures_of(month=MARCH)
        # 199 a month for March and April billed ahead, of which March is earned.
        revenue = [each for each in stored.figures if each["account"] == "revenue"]
        assert revenue[0]["credits"] - revenue[0]["debits"] == 199_00
        actions = set(
            AuditRecord.objects.filter(action__startswith="period.").values_list("action", "actor")
        )
    assert actions == {("period.close_requested", "user:1"), ("period.close", "user:2")}
    for code, again in (("period_closed", MARCH), ("unknown_period", date(2025, 1, 1))):
        with pytest.raises(DomainError) as refused_again:
            ask(again)
        assert refused_again.value.code == code


def test_what_hinders_is_named(march: UUID) -> None:
    close(FEBRUARY)
    other = a_tenant("other", apps=("other",))
    a_subscription(other)
    assert in_the_way() == {Hindrance.NOT_BILLED: 1}
    with clock.moved_to(NOW):
        bill("2026-04-01T12:00:00+08:00")
    with system_scope(purpose="test"):
        found = hinders(month=MARCH, now=NOW)
    # Its base of March is issued in a month that is open, and recognised there; its usage waits.
    assert {each.what for each in found} <= {Hindrance.NOT_CERTIFIED, Hindrance.DRAFTS}
    past_the_guards("UPDATE billing_journalentry SET amount_minor = 1 WHERE account = 'revenue'")
    certify_march()
    assert {Hindrance.UNBALANCED, Hindrance.DRIFTED} <= set(in_the_way())
    assert in_the_way(APRIL) == {Hindrance.NOT_OVER: 1}
    past_the_guards("DELETE FROM billing_journalentry; DELETE FROM billing_journaltransaction")


def test_days_without_a_certificate_hinder(march: UUID) -> None:
    past_the_guards("DELETE FROM billing_certificate WHERE day >= '2026-03-30'")
    assert in_the_way(FEBRUARY) == {}
    # Revenue is posted for each day, so on the 30th and the 31st too.
    assert in_the_way()[Hindrance.NOT_CERTIFIED] == 2


def test_what_belongs_to_a_closed_month_is_posted_on_the_first_open_day(march: UUID) -> None:
    close(FEBRUARY)
    close()
    grant(march, now=datetime(2026, 3, 20, tzinfo=UTC))
    # A document of March, billed afterwards: its dates stay, the books take it in April.
    late = a_tenant("late", apps=("late",))
    a_subscription(late)
    with clock.moved_to(NOW):
        assert bill("2026-03-10T00:00:00+08:00").finalized == 1
    (document,) = [each for each in listed() if each["tenant"] == "late"]
    assert document["issued_at"] == "2026-03-10T00:00:00+08:00"
    with system_scope(purpose="test"):
        posted = set(
            JournalTransaction.objects.filter(kind__in=["balance_grant", "grant", "invoice"])
            .filter(posted_at__gte=datetime(2026, 4, 1, tzinfo=UTC))
            .values_list("posted_at", flat=True)
        )
    assert datetime(2026, 4, 1, tzinfo=UTC) in posted
    with system_scope(purpose="test"):
        assert first_period_drift() is None
        assert not JournalTransaction.objects.filter(
            posted_at__gte=datetime(2026, 3, 9, tzinfo=UTC),
            posted_at__lt=datetime(2026, 4, 1, tzinfo=UTC),
            tenant_id=late.id,
        ).exists()


def test_the_database_refuses_what_goes_past_the_services(march: UUID) -> None:
    close(FEBRUARY)
    close()

    def refused(statement: str) -> None:
        with pytest.raises(IntegrityError), connections[OWNER].cursor() as cursor:
            cursor.execute(statement)

    insert = (
        "INSERT INTO billing_journaltransaction (id, tenant_id, kind, reference, description, posted_at)"
        f" VALUES (gen_random_uuid(), '{march}', 'test', 'x', '', '%s')"
    )
    refused(insert % "2026-03-31T23:59:59Z")
    refused(insert % "2019-01-01T00:00:00Z")
    refused("UPDATE billing_accountingperiod SET is_closed = false")
    refused("UPDATE billing_accountingperiod SET is_closed = false, changed_at = now()")
    refused("DELETE FROM billing_accountingperiod")
    refused("TRUNCATE billing_accountingperiod")
    refused("UPDATE billing_periodrequest SET reason = 'another'")
    refused("DELETE FROM billing_periodrequest")
    refused(
        "INSERT INTO billing_periodrequest (id, month, action, reason, requested_by, requested_at, state,"
        " decided_by, decided_at) VALUES (gen_random_uuid(), '2026-04-01', 'close', '', 'a', now(),"
        " 'done', 'a', now())"
    )


def test_a_month_is_opened_again_with_a_reason_and_in_the_reverse_order(march: UUID) -> None:
    close(FEBRUARY)
    close()
    with pytest.raises(Invalid) as silent:
        ask(action=PeriodAction.REOPEN)
    assert silent.value.code == "reason_missing"
    with pytest.raises(Conflict) as later:
        ask(FEBRUARY, PeriodAction.REOPEN, reason="a lost invoice")
    assert later.value.code == "later_period_closed"
    approve(ask(action=PeriodAction.REOPEN, reason="a lost invoice"), now=NOW.replace(hour=13))
    assert states()[1] == (MARCH, PeriodState.OPEN)
    grant(march, now=datetime(2026, 3, 20, tzinfo=UTC))
    with system_scope(purpose="test"):
        assert JournalTransaction.objects.filter(
            posted_at=datetime(2026, 3, 20, tzinfo=UTC)
        ).exists()
        view = period_view(month=MARCH, now=NOW)
    assert [(each.action, each.state) for each in view.asked] == [
        (PeriodAction.REOPEN, "done"),
        (PeriodAction.CLOSE, "done"),
    ]
    # The day has a further certificate now, and the month can be closed once more.
    certify_march()
    approve(ask(now=NOW.replace(hour=14)), now=NOW.replace(hour=14))
    assert states()[1] == (MARCH, PeriodState.CLOSED)
    with pytest.raises(Conflict) as again:
        ask()
    assert again.value.code == "period_closed"


def test_a_request_is_decided_once_in_time_and_waits_alone(march: UUID) -> None:
    first = ask(FEBRUARY)
    with pytest.raises(Conflict) as waits:
        ask(FEBRUARY, actor="user:3")
    assert waits.value.code == "period_waits"
    with pytest.raises(Conflict) as expired:
        approve(first, now=NOW.replace(day=9))
    assert expired.value.code == "request_expired"
    with system_scope(purpose="test"):
        refuse_period(request_id=first, now=NOW, actor="user:1")
    with pytest.raises(Conflict) as decided:
        approve(first)
    assert decided.value.code == "already_decided"
    with pytest.raises(NotFound):
        approve(UUID(int=1))
    with system_scope(purpose="test"):
        assert PeriodRequest.objects.get().state == "refused"


def test_who_is_posting_is_waited_for_and_found(march: UUID) -> None:
    """A posting that began first is in the month that is closed; one that came later finds it closed."""
    request_id = ask(FEBRUARY)
    began, may_end = threading.Event(), threading.Event()
    outcome: list[str] = []

    def post_slowly() -> None:
        try:
            with system_scope(purpose="test"):
                grant_balance(
                    tenant_id=march,
                    kind=BalanceKind.CASH,
                    amount=Money.of("1.00", "CNY"),
                    expires_at=None,
                    reason="slow",
                    now=datetime(2026, 2, 28, 17, tzinfo=UTC),
                    actor="test",
                )
                began.set()
                may_end.wait(20)
        finally:
            connections.close_all()

    def close_meanwhile() -> None:
        try:
            approve(request_id)
            outcome.append("closed")
        except Conflict as conflict:
            outcome.append(conflict.code)
        finally:
            connections.close_all()

    posting, closing = (
        threading.Thread(target=post_slowly),
        threading.Thread(target=close_meanwhile),
    )
    posting.start()
    assert began.wait(20)
    closing.start()
    closing.join(1)
    assert closing.is_alive()  # it waits for the posting
    may_end.set()
    posting.join(20)
    closing.join(20)
    assert outcome == ["closed"]
    with system_scope(purpose="test"):
        figures = AccountingPeriod.objects.get(month=FEBRUARY).figures
    assert {"account": "customer_credit", "currency": "CNY", "debits": 0, "credits": 100} in figures


def test_staff_close_a_month_in_the_console(march: UUID) -> None:
    people = [
        User.objects.create_user(f"{name}@example.com", staff_role=role)
        for name, role in (
            ("one", StaffRole.FINANCE),
            ("two", StaffRole.ADMIN),
            ("auditor", StaffRole.AUDITOR),
            ("sales", StaffRole.SALES),
        )
    ]
    clients = []
    for person in people:
        client = Client()
        client.force_login(person)
        clients.append(client)
    one, two, auditor, sales = clients
    address = "/console/accounting-months/2026-02/"
    with clock.moved_to(NOW):
        assert "2026-03" in one.get("/console/accounting-months/").content.decode()
        assert sales.get("/console/accounting-months/").status_code == 403
        assert auditor.get(address).status_code == 200
        assert auditor.post(address, {"do": "close"}).status_code == 403
        assert one.get("/console/accounting-months/2026-3/").status_code in {404, 422}
        assert "close them first" in one.get(address.replace("-02", "-03")).content.decode()
        assert one.post(address, {"do": "close"}).status_code == 302
        with system_scope(purpose="test"):
            asked = PeriodRequest.objects.get()
        decision = {"do": "approve", "request": str(asked.id)}
        assert one.post(address, decision).status_code == 409
        assert two.post(address, {**decision, "request": "nonsense"}).status_code == 409
        assert two.post(address, decision).status_code == 302
        assert "As it was closed" in two.get(address).content.decode()
        assert one.post(address, {"do": "reopen"}).status_code == 422
        assert one.post(address, {"do": "reopen", "reason": "lost"}).status_code == 302
        with system_scope(purpose="test"):
            again = PeriodRequest.objects.get(state="waiting")
        assert one.post(address, {"do": "refuse", "request": str(again.id)}).status_code == 302
    assert states()[-1] == (FEBRUARY, PeriodState.CLOSED)
