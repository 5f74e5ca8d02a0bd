"""A billing run that is killed at any moment, or runs twice at once, bills as if nothing had been."""

import random
import time
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from django.db.models import Sum

from billing.invoicing.models import BillingRun, Invoice
from billing.invoicing.queries import InvoiceFilter, all_invoices
from billing.invoicing.representation import invoice_document
from billing.ledger.queries import first_drift, first_imbalance
from tenants.scope import system_scope
from tests.conftest import empty_tables
from tests.factories import a_plan, a_subscription, a_tenant, some_usage
from tests.services.forks import Fork, Forks

pytestmark = pytest.mark.usefixtures("db")

_AT = "2026-04-02T00:00:00+08:00"
_SMALL_CHUNKS = """
from billing.invoicing.services import draft_due, finalize_due, run_billing
draft_due.CHUNK = finalize_due.CHUNK = 3
run_billing.TENANTS_A_RANGE = 6
load_command_class("billing", "bill")
"""
"""So that a kill falls between chunks and inside them."""


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    started = Forks(_SMALL_CHUNKS)
    yield started
    started.end()


def _start(forks: Forks) -> Fork:
    return forks.start("bill", "--at", _AT, "--finalize", "--json")


def _a_world(tenants: int) -> None:
    a_plan()
    for index in range(tenants):
        tenant = a_tenant(f"t{index:02}", apps=(f"app{index:02}",))
        a_subscription(tenant, starts_on=date(2026, 1, 1) + timedelta(days=31 * (index % 3)))
        some_usage(tenant, {date(2026, 3, 1 + index % 28): 7 * index})


def _billed() -> list[dict[str, Any]]:
    with system_scope(purpose="test"):
        documents = [invoice_document(each) for each in all_invoices(wanted=InvoiceFilter())]
    for document in documents:
        del document["id"], document["number"]
    return sorted(
        documents,
        key=lambda each: (each["tenant"], each["period"]["starts_at"], str(each["lines"])),
    )


def _assert_sound() -> None:
    with system_scope(purpose="test"):
        numbers = sorted(filter(None, Invoice.objects.values_list("number", flat=True)))
        assert first_imbalance() is None
        assert first_drift() is None
        # However often they were killed, the runs together tell of each document once.
        counted = BillingRun.objects.aggregate(drafted=Sum("drafted"), finalized=Sum("finalized"))
        assert counted == {"drafted": Invoice.objects.count(), "finalized": len(numbers)}
    assert numbers == [f"INV-2026-{n:06d}" for n in range(1, len(numbers) + 1)]


@pytest.mark.parametrize("seed", [1])
def test_killed_again_and_again_it_bills_the_same(seed: int, forks: Forks) -> None:
    _a_world(24)
    assert _start(forks).wait() == 0
    undisturbed = _billed()
    assert len(undisturbed) > 60
    empty_tables()
    _a_world(24)
    chance = random.Random(seed)  # a replayable choice of moments
    kills = 0
    for _ in range(12):
        process = _start(forks)
        time.sleep(chance.uniform(0.01, 0.25))
        process.kill()
        kills += process.wait() < 0
    assert kills > 3, "the run ended before it could be killed; the moments are chosen too late"

    assert _start(forks).wait() == 0

    _assert_sound()
    assert _billed() == undisturbed


def test_three_runs_at_once_bill_once(forks: Forks) -> None:
    _a_world(24)
    assert _start(forks).wait() == 0
    undisturbed = _billed()
    empty_tables()
    _a_world(24)

    runs = [_start(forks) for _ in range(3)]

    assert [run.wait() for run in runs] == [0, 0, 0]
    _assert_sound()
    assert _billed() == undisturbed
