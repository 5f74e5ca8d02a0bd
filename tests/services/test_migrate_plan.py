"""Moving the subscriptions of a plan version to another one: whom, when, and once."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from billing.invoicing.domain import InvoiceKind
from billing.invoicing.models import CreditNote, Invoice
from billing.invoicing.services import migrate_plan
from billing.invoicing.services.change_subscription import change_subscription
from billing.invoicing.services.migrate_plan import (
    NewMigration,
    execute_migration,
    start_migration,
)
from billing.invoicing.services.run_billing import create_run, execute_run
from billing.ledger.queries import first_balance_drift, first_imbalance
from billing.subscriptions.domain import AskedChange, ChangeKind, EffectiveWhen, MigrationWhen
from billing.subscriptions.models import PlanMigration, SubscriptionPhase
from kernel.errors import DomainError
from tenants.scope import system_scope
from tenants.services.create_tenant import CreatedTenant
from tests.factories import a_plan, a_subscription, a_tenant
from work.connections import JOBS
from work.jobs import run_pending

pytestmark = pytest.mark.usefixtures("db")

KEYS = ("ada", "bob", "cyd", "dee", "eve")
NOW = datetime(2026, 4, 16, tzinfo=UTC)


def version(amount: str, **fields: Any) -> None:
    a_plan(
        {
            "key": "pro",
            "currency": "CNY",
            "prices": [{"key": "base", "model": "flat", "amount": amount, "prorate": True}],
            **fields,
        }
    )


@pytest.fixture
def tenants() -> dict[str, CreatedTenant]:
    """Five in UTC, on version 1 of `pro` (300 a month) since April 1st; version 2 costs 600."""
    version("300")
    found = {}
    for key in KEYS:
        found[key] = a_tenant(key, apps=(key,), timezone="UTC")
        a_subscription(found[key], plan="pro", starts_on=date(2026, 4, 1))
    version("600")
    bill(datetime(2026, 4, 2, tzinfo=UTC))
    return found


def bill(at: datetime) -> None:
    with system_scope(purpose="test"):
        run_id = create_run(at=at, finalize=True, requested_by="test", now=at)
    execute_run(run_id=run_id, clock=lambda: at)


def start(**fields: Any) -> Any:
    wanted = {"from_plan": "pro", "from_number": 1, "to_plan": "pro", "to_number": 2, **fields}
    with system_scope(purpose="test"):
        return start_migration(migration=NewMigration(**wanted), now=NOW, actor="test")


def billed(key: str) -> list[int]:
    with system_scope(purpose="test"):
        return list(
            Invoice.objects.filter(tenant__key=key)
            .order_by("issued_at")
            .values_list("total_minor", flat=True)
        )


def test_at_the_periods_end_all_who_hold_the_version_move(
    tenants: dict[str, CreatedTenant], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate_plan, "CHUNK", 2)
    told: list[tuple[int, int]] = []
    done = execute_migration(
        migration_id=start(), now=NOW, on_progress=lambda *each: told.append(each)
    )
    assert (done.moved, done.left_out) == (5, {})
    assert told == [(2, 5), (4, 5), (5, 5)]
    bill(datetime(2026, 5, 2, tzinfo=UTC))
    assert [billed(key) for key in KEYS] == [[300_00, 600_00]] * 5


def test_who_is_not_named_keeps_the_version(tenants: dict[str, CreatedTenant]) -> None:
    done = execute_migration(migration_id=start(tenant_keys=["ada", "bob"]), now=NOW)
    assert done.moved == 2
    bill(datetime(2026, 5, 2, tzinfo=UTC))
    assert [billed(key)[-1] for key in KEYS] == [600_00, 600_00, 300_00, 300_00, 300_00]


def test_now_each_gets_its_document_at_once(tenants: dict[str, CreatedTenant]) -> None:
    done = execute_migration(migration_id=start(when=MigrationWhen.NOW), now=NOW)
    assert done.moved == 5
    with system_scope(purpose="test"):
        # Half of April: 150 back and 300 due.
        assert (
            list(
                Invoice.objects.filter(kind=InvoiceKind.CHANGE).values_list(
                    "total_minor", flat=True
                )
            )
            == [150_00] * 5
        )
        assert not CreditNote.objects.exists()


def test_who_leaves_or_has_left_is_left_out(tenants: dict[str, CreatedTenant]) -> None:
    for key, when in (("ada", EffectiveWhen.PERIOD_END), ("bob", EffectiveWhen.NOW)):
        with system_scope(purpose="test"):
            change_subscription(
                tenant_id=tenants[key].id,
                asked=AskedChange(kind=ChangeKind.CANCEL, when=when),
                now=NOW,
                actor="test",
            )
    done = execute_migration(migration_id=start(), now=NOW)
    assert (done.moved, done.left_out) == (3, {"subscription_ends": 1})


def test_what_fell_due_is_drafted_by_the_old_version_first(
    tenants: dict[str, CreatedTenant],
) -> None:
    later = datetime(2026, 5, 3, tzinfo=UTC)
    done = execute_migration(migration_id=start(), now=later)
    assert (done.moved, done.left_out) == (5, {})
    bill(datetime(2026, 6, 2, tzinfo=UTC))
    assert billed("ada") == [300_00, 300_00, 600_00]


def test_a_killed_migration_goes_on_behind_its_last_chunk(
    tenants: dict[str, CreatedTenant], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate_plan, "CHUNK_NOW", 2)
    migration_id = start(when=MigrationWhen.NOW)

    def killed(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute_migration(migration_id=migration_id, now=NOW, on_progress=killed)
    done = execute_migration(migration_id=migration_id, now=NOW)
    again = execute_migration(migration_id=migration_id, now=NOW)
    assert (done.moved, again.moved) == (5, 5)
    with system_scope(purpose="test"):
        assert Invoice.objects.filter(kind=InvoiceKind.CHANGE).count() == 5


def test_a_job_carries_it_out(tenants: dict[str, CreatedTenant]) -> None:
    migration_id = start()
    run_pending(now=NOW, kinds=[migrate_plan.KIND])
    with system_scope(purpose="test"):
        migration = PlanMigration.objects.get(id=migration_id)
        assert (migration.moved, migration.finished_at) == (5, NOW)
        assert SubscriptionPhase.objects.count() == 10


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"from_plan": "none"}, "plan_not_found"),
        ({"to_number": 9}, "plan_version_not_found"),
        ({"to_number": 1}, "same_version"),
        ({"tenant_keys": ["nobody"]}, "tenant_not_found"),
        ({"to_plan": "dollars", "to_number": 1}, "currency_mismatch"),
    ],
)
def test_what_can_not_be_moved_is_refused(fields: dict[str, Any], code: str) -> None:
    version("300")
    version("600")
    version("30", key="dollars", currency="USD")
    with pytest.raises(DomainError) as refused:
        start(**fields)
    assert refused.value.code == code


@pytest.mark.parametrize("amount", ["600", "120"])
def test_now_takes_as_many_statements_for_five_as_for_one(
    tenants: dict[str, CreatedTenant], amount: str
) -> None:
    """Whether the documents are invoices or credit notes."""
    version(amount, trial_days=1)

    def statements(*keys: str) -> int:
        migration_id = start(when=MigrationWhen.NOW, tenant_keys=keys, to_number=3)
        with CaptureQueriesContext(connections[JOBS]) as seen:
            assert execute_migration(migration_id=migration_id, now=NOW).moved == len(keys)
        return len(seen)

    assert statements("ada", "bob", "cyd", "dee") == statements("eve")


def test_now_to_a_lower_price_each_gets_its_credit_note(tenants: dict[str, CreatedTenant]) -> None:
    version("120")
    execute_migration(migration_id=start(when=MigrationWhen.NOW, to_number=3), now=NOW)
    with system_scope(purpose="test"):
        notes = list(CreditNote.objects.order_by("number"))
        # Half of April: 150 back and 60 due, to the cash balance.
        assert [(note.total_minor, note.to_balance_minor) for note in notes] == [(90_00, 90_00)] * 5
        assert [note.number[-1] for note in notes] == ["1", "2", "3", "4", "5"]
        assert first_imbalance() is None
        assert first_balance_drift() is None
