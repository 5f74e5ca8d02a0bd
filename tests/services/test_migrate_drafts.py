"""Another version in the place of the one that drafts were made by, before they are issued."""

import threading
from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from billing.invoicing.domain import InvoiceStatus
from billing.invoicing.models import Invoice, InvoiceLine
from billing.invoicing.services import finalize_due
from billing.invoicing.services.change_subscription import change_subscription
from billing.invoicing.services.draft_due import draft_due
from billing.invoicing.services.migrate_plan import (
    Migrated,
    NewMigration,
    execute_migration,
    start_migration,
)
from billing.invoicing.services.run_now import run_now
from billing.ledger.queries import first_imbalance
from billing.subscriptions.domain import AskedChange, ChangeKind, EffectiveWhen, MigrationWhen
from billing.subscriptions.models import Subscription, SubscriptionPhase
from kernel.errors import Invalid
from metering.services import close_days
from tenants.models import AuditRecord
from tenants.scope import system_scope
from tenants.services.create_tenant import CreatedTenant
from tests.factories import a_plan, a_subscription, a_tenant, some_usage
from work.connections import JOBS

pytestmark = pytest.mark.usefixtures("db")

APRIL, MAY = date(2026, 4, 1), datetime(2026, 5, 1, tzinfo=UTC)
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
GRACE_OVER = datetime(2026, 5, 2, tzinfo=UTC)
JUNE_OVER = datetime(2026, 6, 2, tzinfo=UTC)


def version(base: str, unit: str, **fields: Any) -> None:
    a_plan(
        {
            "key": "pro",
            "currency": "CNY",
            "grace": "PT24H",
            "prices": [
                {"key": "base", "model": "flat", "amount": base, "prorate": True},
                {
                    "key": "peak",
                    "meter": "dau",
                    "period_aggregation": "max_day",
                    "model": "per_unit",
                    "unit_price": unit,
                },
            ],
            **fields,
        }
    )


def a_customer(key: str, *, used: str = "7") -> CreatedTenant:
    """On version 1 since April 1st, with a peak of `used` users on April 10th."""
    tenant = a_tenant(key, apps=(key,), timezone="UTC")
    a_subscription(tenant, plan="pro", starts_on=APRIL)
    some_usage(tenant, {date(2026, 4, 10): used})
    return tenant


def bill(at: datetime) -> None:
    run_now(at=at, finalize=True, requested_by="test", clock=lambda: at)


def move(now: datetime = NOON, **fields: Any) -> Migrated:
    wanted = {
        "from_plan": "pro",
        "from_number": 1,
        "to_plan": "pro",
        "to_number": 2,
        "when": MigrationWhen.DRAFTS,
        **fields,
    }
    with system_scope(purpose="test"):
        migration_id = start_migration(migration=NewMigration(**wanted), now=now, actor="test")
    return execute_migration(migration_id=migration_id, now=now)


def issued(key: str) -> list[list[tuple[str, int]]]:
    """Price and amount of each line, by issued document in their order."""
    with system_scope(purpose="test"):
        return [
            list(
                InvoiceLine.objects.filter(invoice=each)
                .order_by("position")
                .values_list("key", "amount_minor")
            )
            for each in Invoice.objects.filter(tenant__key=key, number__isnull=False).order_by(
                "boundary_at"
            )
        ]


def test_a_draft_is_issued_by_the_new_version_and_what_was_issued_stays() -> None:
    version("100", "1")
    a_customer("acme")
    bill(MAY)
    version("200", "3")
    assert move() == Migrated(moved=1, left_out={})
    bill(GRACE_OVER)
    assert issued("acme") == [
        [("base", 100_00)],
        [("peak", 21_00), ("base", 200_00)],
    ]
    bill(JUNE_OVER)
    assert issued("acme")[-1] == [("base", 200_00)]
    with system_scope(purpose="test"):
        assert first_imbalance() is None
        entry = AuditRecord.objects.get(action="subscription.plan_changed")
        assert entry.after == {"plan": "pro", "version": 2, "when": "drafts"}


def test_no_draft_is_written_however_many_there_are() -> None:
    """The change is what is held; the drafts follow from it."""
    version("100", "1")
    for key in ("ada", "bob", "cyd", "dee", "eve"):
        a_customer(key)
    bill(MAY)
    version("200", "3")

    def statements(*keys: str) -> list[str]:
        with CaptureQueriesContext(connections[JOBS]) as seen:
            assert move(tenant_keys=keys).moved == len(keys)
        return [each["sql"] for each in seen]

    one, several = statements("eve"), statements("ada", "bob", "cyd", "dee")
    assert len(several) <= len(one)
    assert not [each for each in several if 'UPDATE "billing_invoice' in each]


def test_late_usage_of_what_was_issued_is_rated_by_the_old_version() -> None:
    version("100", "1")
    tenant = a_customer("acme")
    bill(GRACE_OVER)
    bill(datetime(2026, 6, 1, tzinfo=UTC))
    version("200", "3")
    assert move(datetime(2026, 6, 1, 12, tzinfo=UTC)).moved == 1
    some_usage(tenant, {date(2026, 4, 10): "9"})
    bill(JUNE_OVER)
    # Two users more in April, at 1 each.
    assert issued("acme")[-1] == [("base", 200_00), ("peak", 2_00)]


def test_without_a_draft_it_counts_from_the_next_period() -> None:
    version("100", "1")
    a_customer("acme")
    bill(datetime(2026, 4, 2, tzinfo=UTC))
    version("200", "3")
    assert move(datetime(2026, 4, 16, tzinfo=UTC)).moved == 1
    bill(GRACE_OVER)
    assert issued("acme")[-1] == [("peak", 7_00), ("base", 200_00)]


def test_who_ended_with_a_draft_is_billed_by_it_too() -> None:
    version("100", "1")
    tenant = a_customer("acme")
    bill(datetime(2026, 4, 2, tzinfo=UTC))
    with system_scope(purpose="test"):
        change_subscription(
            tenant_id=tenant.id,
            asked=AskedChange(kind=ChangeKind.CANCEL, when=EffectiveWhen.PERIOD_END),
            now=datetime(2026, 4, 16, tzinfo=UTC),
            actor="test",
        )
    bill(MAY)
    version("200", "3")
    assert move().moved == 1
    bill(GRACE_OVER)
    assert issued("acme")[-1] == [("peak", 21_00)]


def test_what_was_planned_stays_planned() -> None:
    version("100", "1")
    tenant = a_customer("acme")
    bill(MAY)
    a_plan(
        {
            "key": "other",
            "currency": "CNY",
            "prices": [{"key": "base", "model": "flat", "amount": "50"}],
        }
    )
    with system_scope(purpose="test"):
        change_subscription(
            tenant_id=tenant.id,
            asked=AskedChange(kind=ChangeKind.PLAN, plan="other", when=EffectiveWhen.PERIOD_END),
            now=NOON,
            actor="test",
        )
    version("200", "3")
    assert move().moved == 1
    bill(JUNE_OVER)
    assert issued("acme")[1:] == [
        [("peak", 21_00), ("base", 200_00)],
        [("base", 50_00)],
    ]


def test_what_changed_since_the_draft_was_made_is_left_as_it_is() -> None:
    version("100", "1")
    tenant = a_customer("acme")
    bill(MAY)
    version("200", "3")
    a_plan(
        {
            "key": "other",
            "currency": "CNY",
            "prices": [{"key": "base", "model": "flat", "amount": "50", "prorate": True}],
        }
    )
    # Beyond the first day of May, so that the change has settled what May's advance would be.
    later = datetime(2026, 5, 4, tzinfo=UTC)
    with system_scope(purpose="test"):
        for day, plan, number in ((3, "other", None), (4, "pro", 1)):
            change_subscription(
                tenant_id=tenant.id,
                asked=AskedChange(kind=ChangeKind.PLAN, plan=plan, version=number),
                now=later.replace(day=day),
                actor="test",
            )
    assert move(later) == Migrated(moved=0, left_out={"changed_meanwhile": 1})


@pytest.mark.parametrize(("base", "left_out"), [("200", {"advance_counts": 1}), ("100", {})])
def test_a_bound_that_counts_what_was_billed_in_advance_keeps_its_version(
    base: str, left_out: dict[str, int]
) -> None:
    version("100", "1", minimum="500")
    a_customer("acme")
    bill(MAY)
    version(base, "3", minimum="500")
    assert move().left_out == left_out


def test_an_interval_of_its_own_is_refused() -> None:
    version("100", "1")
    version("100", "1", interval="year")
    with pytest.raises(Invalid) as refused:
        move()
    assert refused.value.code == "interval_differs"


def test_killed_and_run_again_it_is_done_once() -> None:
    version("100", "1")
    a_customer("acme")
    bill(MAY)
    version("200", "3")
    assert move().moved == 1
    assert move().moved == 0
    with system_scope(purpose="test"):
        assert list(SubscriptionPhase.objects.values_list("plan_version__number", flat=True)) == [2]
        assert Subscription.objects.get().plan_version.number == 2


def test_a_document_that_is_issued_meanwhile_is_of_one_version_only() -> None:
    """Both want the drafts first: whoever waits, finds what the other left."""
    version("100", "1")
    for key in ("ada", "bob", "cyd", "dee"):
        a_customer(key)
    while draft_due(at=MAY).subscriptions:
        pass
    with system_scope(purpose="test"):
        close_days(now=GRACE_OVER)
    version("200", "3")
    begin = threading.Barrier(2)
    faults: list[BaseException] = []

    def run(work: Any) -> threading.Thread:
        def guarded() -> None:
            try:
                begin.wait()
                work()
            except BaseException as fault:  # noqa: BLE001  # told by the test
                faults.append(fault)
            finally:
                connections.close_all()

        thread = threading.Thread(target=guarded)
        thread.start()
        return thread

    threads = [
        run(lambda: move(NOON)),
        run(lambda: finalize_due.finalize_due(at=GRACE_OVER, finalize=True)),
    ]
    for thread in threads:
        thread.join()
    assert faults == []
    bill(GRACE_OVER)
    by_old, by_new = [("peak", 7_00), ("base", 100_00)], [("peak", 21_00), ("base", 200_00)]
    for key in ("ada", "bob", "cyd", "dee"):
        assert issued(key)[-1] in (by_old, by_new)
    with system_scope(purpose="test"):
        assert not Invoice.objects.filter(status=InvoiceStatus.DRAFT).exists()
