"""A dry run comes to what the run then bills, writes no document, and tells the difference to before."""

import io
import json
from datetime import date, datetime
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from billing.invoicing.domain import RunState
from billing.invoicing.dry_runs.models import ExpectedTotal
from billing.invoicing.dry_runs.queries import Mover, differences, movers
from billing.invoicing.models import BillingRun, Invoice, NumberSeries
from billing.invoicing.services import expect_range, run_billing
from billing.invoicing.services.count_run import count_work
from billing.invoicing.services.decide_run import pause_run, resume_run
from billing.invoicing.services.run_billing import create_run, execute_run
from billing.invoicing.services.spread_run import RANGE_KIND, RUN_KIND
from billing.invoicing.services.start_run import start_run
from billing.invoicing.tenant_ranges import ALL_TENANTS
from billing.subscriptions.models import Subscription
from kernel import clock
from kernel.money import Money
from metering.queries import closed_until
from tenants.domain import StaffRole
from tenants.models import User
from tenants.scope import system_scope
from tests.factories import STANDARD, a_plan, a_subscription, a_tenant, some_usage
from work import jobs
from work.connections import JOBS

pytestmark = pytest.mark.usefixtures("db")

APRIL = datetime.fromisoformat("2026-04-02T00:00:00+08:00")
MAY = datetime.fromisoformat("2026-05-02T00:00:00+08:00")
JUNE = datetime.fromisoformat("2026-06-02T00:00:00+08:00")
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


def run(at: datetime, *, dry: bool = False, finalize: bool = True) -> BillingRun:
    with system_scope(purpose="test"):
        run_id = create_run(at=at, finalize=finalize, dry=dry, requested_by="test", now=clock.now())
    execute_run(run_id=run_id, clock=clock.now)
    with system_scope(purpose="test"):
        return BillingRun.objects.get(id=run_id)


def some_tenants(count: int, *, days: tuple[date, ...] = (date(2026, 3, 5),)) -> None:
    a_plan()
    for index in range(count):
        tenant = a_tenant(f"t{index}", apps=(f"app{index}",))
        a_subscription(tenant)
        some_usage(tenant, dict.fromkeys(days, 11 + 10 * index))


def moved(run_id: UUID, **asked: Any) -> dict[str, Mover]:
    with system_scope(purpose="test"):
        return {each.tenant_key: each for each in movers(run_id=run_id, limit=100, **asked)}


def stored() -> tuple[Any, ...]:
    """All that a dry run must leave alone."""
    with system_scope(purpose="test"):
        return (
            sorted(Invoice.objects.values_list("id", "status", "content_hash", "total_minor")),
            sorted(NumberSeries.objects.values_list("prefix", "year", "last")),
            sorted(
                Subscription.objects.values_list("id", "next_boundary_at", "parked_code", "status")
            ),
            closed_until(tenant_ids=list(Subscription.objects.values_list("tenant_id", flat=True))),
        )


@pytest.mark.parametrize("drafted", [False, True])
def test_it_comes_to_what_the_run_then_bills_and_leaves_everything_alone(drafted: bool) -> None:
    some_tenants(4)
    if drafted:
        run(datetime.fromisoformat("2026-04-01T00:00:00+08:00"))
    before = stored()

    dry = run(APRIL, dry=True)

    assert stored() == before
    real = run(APRIL)
    assert dry.state == RunState.DONE
    assert (dry.due, dry.drafted, dry.finalized, dry.unchanged, dry.totals) == (
        real.due,
        real.drafted,
        real.finalized,
        real.unchanged,
        real.totals,
    )
    with system_scope(purpose="test"):
        (whole,) = differences(run_id=dry.id)
    assert f"{whole.now.amount:f}" == real.totals["CNY"]
    assert whole.documents == real.finalized


def test_what_waits_for_its_grace_is_no_part_of_what_would_be_issued() -> None:
    some_tenants(2)
    early = datetime.fromisoformat("2026-04-01T12:00:00+08:00")

    dry = run(early, dry=True)

    real = run(early)
    assert (dry.finalized, dry.unchanged, dry.totals) == (2, 2, {"CNY": "398.00"})
    assert (real.finalized, real.unchanged, real.totals) == (2, 2, {"CNY": "398.00"})
    # Without finalising, all drafts that there are and would be.
    assert run(early, dry=True, finalize=False).totals == {"CNY": "413.00"}


def test_the_difference_by_tenant_says_why() -> None:
    a_plan()
    a_plan({**STANDARD, "key": "other"})
    tenants = {
        key: a_tenant(key, apps=(f"app-{key}",)) for key in ("more", "less", "same", "gone", "over")
    }
    for tenant in tenants.values():
        a_subscription(tenant)
        some_usage(tenant, {date(2026, 3, 5): 35})
    with system_scope(purpose="test"):
        Subscription.objects.filter(tenant__key="gone").update(
            ends_at=datetime.fromisoformat("2026-05-01T00:00:00+08:00")
        )
        Subscription.objects.filter(tenant__key="over").update(
            ends_at=datetime.fromisoformat("2026-06-01T00:00:00+08:00")
        )
    run(APRIL)
    for key, users in {"more": 55, "less": 15, "same": 31, "gone": 35, "over": 35}.items():
        some_usage(tenants[key], {date(2026, 4, 5): users, date(2026, 5, 5): users})
    run(MAY)
    a_subscription(a_tenant("new", apps=("app-new",)), starts_on=date(2026, 6, 1))
    # In June "more" uses much more than in May.
    some_usage(tenants["more"], {date(2026, 5, 6): 105})
    some_usage(tenants["less"], {date(2026, 5, 6): 16, date(2026, 5, 7): 9})

    dry = run(JUNE, dry=True)

    found = moved(dry.id)
    reasons = {key: each.reason.value for key, each in found.items()}
    assert reasons == {
        "more": "usage",
        "less": "unchanged",
        "same": "unchanged",
        "gone": "gone",
        "over": "ended",
        "new": "new",
    }
    # 55 are 5 started tens above 10, 105 are 10: 25.00 and 50.00 beside the base of 199.
    assert (found["more"].before, found["more"].now) == (
        Money.of("224.00", "CNY"),
        Money.of("249.00", "CNY"),
    )
    assert f"{found['more'].percent}" == "11.2"
    assert found["new"].percent is None
    assert next(iter(found)) in {"new", "over"}
    with system_scope(purpose="test"):
        (whole,) = differences(run_id=dry.id)
    assert (whole.up, whole.down, whole.same, whole.new, whole.gone) == (1, 1, 2, 1, 1)
    assert moved(dry.id, reason="gone").keys() == {"gone"}
    assert moved(dry.id, search="mor").keys() == {"more"}


def test_who_would_be_left_aside_is_told_and_not_left_aside() -> None:
    some_tenants(2)
    run(APRIL)
    with system_scope(purpose="test"):
        Subscription.objects.filter(tenant__key="t1").update(
            next_boundary_at=datetime.fromisoformat("2026-03-01T00:00:00+08:00")
        )

    dry = run(APRIL, dry=True)

    assert [(each["tenant"], each["code"]) for each in dry.parked] == [
        ("t1", "period_already_billed")
    ]
    with system_scope(purpose="test"):
        assert not Subscription.objects.exclude(parked_code="").exists()


def test_workers_share_it_and_a_range_that_is_done_again_counts_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run_billing, "TENANTS_A_RANGE", 2)
    some_tenants(5)
    with system_scope(purpose="test"):
        run_id = start_run(
            at=APRIL, finalize=True, tenant_key="", dry=True, requested_by="test", now=clock.now()
        )
    left, whole = [ZeroDivisionError("a worker is gone")], count_work

    def counts(**asked: Any) -> bool:
        found = whole(**asked)
        if left:
            raise left.pop()
        return found

    monkeypatch.setattr(run_billing, "count_work", counts)
    kinds = {RUN_KIND, RANGE_KIND}
    with system_scope(purpose="test"):
        pause_run(run_id=run_id, actor="test", now=clock.now())
        resume_run(run_id=run_id, actor="test", now=clock.now())
    jobs.run_pending(now=clock.now(), kinds=kinds)

    with system_scope(purpose="test"):
        done = BillingRun.objects.get(id=run_id)
        assert (done.state, done.ranges_done, done.finalized) == (RunState.DONE, 3, 10)
        assert ExpectedTotal.objects.filter(run_id=run_id).count() == 5
        assert not Invoice.objects.exists()


def test_years_that_are_caught_up_come_to_the_same() -> None:
    a_plan({**STANDARD, "interval": "week"})
    tenant = a_tenant()
    a_subscription(tenant, starts_on=date(2025, 9, 1))
    some_usage(tenant, {date(2026, 3, 5): 35, date(2025, 11, 5): 99})

    dry = run(APRIL, dry=True)

    real = run(APRIL)
    assert (dry.finalized, dry.totals) == (real.finalized, real.totals)
    assert real.finalized > 2 * 12


def test_the_command_tells_the_difference() -> None:
    some_tenants(2)
    run(APRIL)
    out = io.StringIO()

    call_command("bill", "--at", MAY.isoformat(), "--finalize", "--dry-run", "--json", stdout=out)

    told = json.loads(out.getvalue())
    assert told["finalized"] == 2
    # Usage of March alone: 5.00 and 10.00 less.
    assert told["difference"]["CNY"]["difference"] == "-15.00"
    assert [(each["tenant"], each["difference"]) for each in told["movers"]] == [
        ("t1", "-10.00"),
        ("t0", "-5.00"),
    ]
    with system_scope(purpose="test"):
        assert Invoice.objects.count() == 4


def test_the_pages_show_it_and_export_it() -> None:
    some_tenants(2)
    run(APRIL)
    dry = run(MAY, dry=True)
    client = Client()
    with system_scope(purpose="test"):
        user, _ = User.objects.get_or_create(email="f@summit.test", staff_role=StaffRole.FINANCE)
    client.force_login(user, backend=BACKEND)

    shown = client.get(f"/console/runs/{dry.id}/").content.decode()
    assert "Dry run: nothing is billed" in shown
    assert "-3.6 %" in shown
    listed = client.get(f"/console/runs/{dry.id}/difference/?reason=usage").content.decode()
    assert "t1" in listed
    new = client.get(f"/console/runs/{dry.id}/difference/?reason=new").content.decode()
    assert "t1" not in new
    exported = client.get(f"/console/runs/{dry.id}/difference/?format=csv").content.decode()
    assert "t1" in exported
    assert "-10.00" in exported


def test_a_range_takes_as_many_statements_for_six_tenants_as_for_one() -> None:
    some_tenants(1)

    def statements() -> int:
        with system_scope(purpose="test"):
            planned = BillingRun.objects.get(
                id=create_run(
                    at=APRIL, finalize=True, dry=True, requested_by="test", now=clock.now()
                )
            )
            with CaptureQueriesContext(connections[JOBS]) as captured:
                assert expect_range.expect_range(run=planned, tenants=ALL_TENANTS).finalized
        return len(captured.captured_queries)

    of_one = statements()
    for index in range(1, 7):
        a_subscription(a_tenant(f"t{index}", apps=(f"app{index}",)))

    assert statements() <= of_one
