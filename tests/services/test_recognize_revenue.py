"""What was billed ahead becomes revenue day by day over its service, and ends at exactly zero."""

import io
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections

from billing.invoicing.crediting import LineCredit
from billing.invoicing.models import Invoice
from billing.invoicing.services.change_subscription import change_subscription
from billing.invoicing.services.credit_invoice import credit_invoice
from billing.invoicing.services.run_billing import create_run, execute_run
from billing.ledger.models import JournalTransaction
from billing.ledger.queries import account_balances
from billing.ledger.recognition import RECOGNITION, first_deferral_drift
from billing.ledger.services.recognize_revenue import recognize_revenue
from billing.subscriptions.domain import Anchor, AskedChange, ChangeKind
from kernel import clock
from kernel.errors import Invalid
from kernel.money import Money
from tenants.scope import system_scope
from tests.factories import STANDARD, a_plan, a_subscription, a_tenant
from work.connections import OWNER

pytestmark = pytest.mark.usefixtures("db")

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def a_world(amount: str = "100", **fields: Any) -> Any:
    """A fee in advance over March (31 days), billed on 1 March."""
    a_plan(
        {
            **STANDARD,
            "prices": [
                {"key": "base", "model": "flat", "amount": amount, "prorate": True, **fields}
            ],
        }
    )
    tenant = a_tenant()
    a_subscription(tenant)
    bill("2026-03-01T00:00:00+08:00")
    return tenant


def bill(at: str) -> None:
    with system_scope(purpose="test"):
        run_id = create_run(
            at=datetime.fromisoformat(at), finalize=True, requested_by="test", now=clock.now()
        )
    execute_run(run_id=run_id, clock=clock.now)


def recognize(day: str) -> int:
    return recognize_revenue(through=date.fromisoformat(day), now=NOW).transactions


def books() -> tuple[int, int]:
    """Deferred revenue and revenue, in minor units, as what is owed and what was earned."""
    with system_scope(purpose="test"):
        assert first_deferral_drift() is None
        found = {account: -money.minor for (account, _), money in account_balances().items()}
    return found.get("deferred_revenue", 0), found.get("revenue", 0)


def credited(amount: str) -> None:
    with system_scope(purpose="test"):
        credit_invoice(
            invoice_id=Invoice.objects.get(number="INV-2026-000001").id,
            lines=[LineCredit(position=1, amount=Money.of(amount, "CNY"))],
            reason="test",
            now=datetime(2026, 3, 11, tzinfo=UTC),
            actor="test",
        )


def test_each_day_earns_its_part_and_the_last_one_leaves_nothing() -> None:
    a_world()
    assert books() == (10000, 0)
    parts = []
    for number in range(1, 32):
        before = books()[1]
        recognize(f"2026-03-{number:02}")
        parts.append(books()[1] - before)
    # 100.00 over 31 days is 3.2258… a day: by the end of day n it is round(n × 100 / 31).
    assert parts == [round(n * 10000 / 31) - round((n - 1) * 10000 / 31) for n in range(1, 32)]
    assert set(parts) == {322, 323}
    assert books() == (0, 10000)
    assert recognize("2026-04-30") == 0


def test_a_period_that_ends_where_clocks_skip_midnight_ends_with_the_day_before() -> None:
    a_plan({**STANDARD, "prices": [{"key": "base", "model": "flat", "amount": "310"}]})
    # In Cairo April 24th 2026 begins at 01:00.
    tenant = a_tenant(timezone="Africa/Cairo")
    a_subscription(tenant, starts_on=date(2026, 3, 24), anchor=Anchor.ANNIVERSARY)
    bill("2026-03-24T12:00:00+02:00")
    recognize("2026-03-24")
    assert books() == (30000, 1000)
    recognize("2026-04-23")
    assert books() == (0, 31000)


def test_a_day_that_is_not_over_anywhere_is_refused() -> None:
    a_world()
    with pytest.raises(Invalid) as refused:
        recognize_revenue(through=date(2026, 3, 3), now=datetime(2026, 3, 3, 9, 59, 59, tzinfo=UTC))
    assert refused.value.code == "day_not_over"
    assert books() == (10000, 0)
    # At 10:00 of UTC the day is over on Kiritimati.
    recognize_revenue(through=date(2026, 3, 3), now=datetime(2026, 3, 3, 10, tzinfo=UTC))
    assert books() == (9032, 968)


def test_run_again_it_finds_nothing_and_never_goes_back() -> None:
    a_world()
    assert recognize("2026-03-10") == 10
    deferred = books()
    assert recognize("2026-03-10") == 0
    assert recognize("2026-03-05") == 0
    assert books() == deferred == (10000 - 3226, 3226)


def test_missed_days_are_posted_one_by_one() -> None:
    a_world()
    recognize("2026-03-02")
    assert recognize("2026-03-09") == 7
    with system_scope(purpose="test"):
        references = JournalTransaction.objects.filter(kind=RECOGNITION).values_list(
            "reference", flat=True
        )
        assert sorted(references) == [f"2026-03-{n:02}:CNY:1" for n in range(1, 10)]


def test_before_its_service_nothing_is_earned() -> None:
    a_world()
    assert recognize("2026-02-28") == 0
    assert books() == (10000, 0)


def test_a_credit_note_takes_back_what_is_deferred_and_what_was_earned_of_it() -> None:
    a_world()
    recognize("2026-03-10")
    credited("100.00")
    recognize("2026-03-10")
    # The whole line is given back: nothing of it was earned, and nothing is left to earn.
    assert books() == (0, 0)
    assert recognize("2026-04-30") == 0


def test_a_credit_of_a_part_leaves_the_rest_to_be_earned_over_all_days() -> None:
    a_world()
    recognize("2026-03-10")
    credited("31.00")
    recognize("2026-03-31")
    assert books() == (0, 6900)


def test_a_cancellation_gives_back_the_unused_days_alone() -> None:
    tenant = a_world(amount="310")
    recognize("2026-03-10")
    with system_scope(purpose="test"):
        change_subscription(
            tenant_id=tenant.id,
            asked=AskedChange(kind=ChangeKind.CANCEL),
            now=datetime.fromisoformat("2026-03-21T00:00:00+08:00"),
            actor="test",
        )
    recognize("2026-03-20")
    # 20 of 31 days were served, at 10.00 a day; the rest went back.
    assert books() == (0, 20000)
    recognize("2026-04-30")
    assert books() == (0, 20000)


def test_two_at_once_post_once() -> None:
    a_world()

    def one(_: int) -> int:
        try:
            return recognize("2026-03-10")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(one, range(3))) == 10
    assert books() == (10000 - 3226, 3226)


def test_the_command_says_what_it_posted() -> None:
    a_world()
    out = io.StringIO()
    call_command("recognize_revenue", "--through", "2026-03-03", "--json", stdout=out)
    assert json.loads(out.getvalue())["transactions"] == 3


def test_verification_names_a_tenant_whose_deferred_revenue_differs() -> None:
    a_world()
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            "SET session_replication_role = replica;"
            "UPDATE billing_journalentry SET account = 'revenue' WHERE account = 'deferred_revenue';"
            "SET session_replication_role = DEFAULT"
        )
    out = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("verify_ledger", "--json", stdout=out)
    assert json.loads(out.getvalue())["first_bad"]["code"] == "deferred_revenue_differs"
