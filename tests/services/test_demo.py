"""The demo world: coherent in itself, the same for a seed, and unharmed by being stopped."""

import json
import stat
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.core.management import call_command

from billing.fapiao.domain.content import FapiaoTitle
from billing.fapiao.models import Fapiao
from billing.fapiao.services.request_fapiao import request_fapiao
from billing.fapiao.services.set_buyer import set_fapiao_buyer
from billing.invoicing.credit_note_listing import note_rows
from billing.invoicing.domain import InvoiceStatus
from billing.invoicing.listings import OVERDUE, invoice_detail, invoice_rows
from billing.invoicing.models import Invoice
from billing.invoicing.queries import InvoiceFilter, all_invoices
from billing.invoicing.receivables import billed_months, receivables
from billing.invoicing.representation import invoice_document
from billing.invoicing.run_listings import run_rows
from billing.ledger.queries import first_drift, first_imbalance
from billing.payments.models import Payment
from billing.payments.queries import first_payment_drift, payments_of_invoice
from billing.subscriptions.queries import subscribers, subscriptions_of
from config.demo import people
from config.demo.counting import counts
from config.demo.seeding import DemoRequest, seed_demo
from config.demo.traffic import Traffic
from config.demo.world import DemoWorld, demo_world
from kernel.errors import Conflict, Invalid
from kernel.period import local_day
from metering.queries import (
    changed_closed_days,
    closed_days,
    closed_until,
    corrections,
    recounted_usage,
    rejected_events,
    usage,
)
from tenants import audit
from tenants.models import App, AuditRecord, Tenant, User
from tenants.queries import apps_of, keys_of, members_of, tenant_rows
from tenants.scope import system_scope, tenant_scope
from tests.conftest import assert_ledger_balances, empty_tables
from tests.factories import a_tenant
from work.commands import CommandFault

UNTIL = date(2026, 11, 19)
ENDS_AT = datetime(2026, 11, 19, 12, tzinfo=UTC)
NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
SMALL = DemoRequest(tenants=4, months=1, seed=7, until=UNTIL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeded:
    world: DemoWorld
    home: Path
    told: list[str]

    @property
    def tenant_ids(self) -> list[UUID]:
        with system_scope(purpose="test"):
            return list(Tenant.objects.values_list("id", flat=True))


def seed(request: DemoRequest, home: Path) -> Seeded:
    told: list[str] = []
    world = seed_demo(request=request, now=NOW, home=home, tell=told.append)
    return Seeded(world=world, home=home, told=told)


@pytest.fixture(scope="module")
def demo(schema: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seeded]:
    """One world for the tests that only look at it."""
    empty_tables()
    yield seed(
        DemoRequest(tenants=30, months=2, seed=2026, until=UNTIL), tmp_path_factory.mktemp("home")
    )
    assert_ledger_balances()


def test_the_books_are_in_order(demo: Seeded) -> None:
    with system_scope(purpose="test"):
        assert first_imbalance() is None
        assert first_drift() is None
        assert first_payment_drift() is None
        assert audit.verify() == []
    assert counts(demo.world)["parked"] == 0


def test_usage_is_what_an_independent_recount_of_the_traffic_says(demo: Seeded) -> None:
    seen: set[tuple[str, str]] = set()
    users: dict[tuple[str, date], set[str]] = defaultdict(set)
    messages: Counter[tuple[str, date, str]] = Counter()
    zones = {app.key: each.zone for each in demo.world.tenants for app in each.apps}
    arrivals = Traffic(demo.world).last(ENDS_AT)
    for event in arrivals.events:
        if (event.source, event.id) in seen:
            continue
        seen.add((event.source, event.id))
        day = event.time.astimezone(zones[event.subject]).date()
        users[event.subject, day].add(event.user)
        if event.type == "message.sent":
            messages[event.subject, day, event.kind] += event.count
    assert len(seen) < len(arrivals.events), "some are sent twice"
    recounted = {(app, "dau", day, ""): Decimal(len(who)) for (app, day), who in users.items()}
    recounted |= {
        (app, "messages", day, kind): Decimal(sent) for (app, day, kind), sent in messages.items()
    }

    ids = demo.tenant_ids
    span: dict[str, Any] = {
        "tenant_ids": ids,
        "from_day": demo.world.first_on,
        "to_day": UNTIL + timedelta(days=2),
    }
    with system_scope(purpose="test"):
        keys = dict(App.objects.values_list("id", "key"))
        rows = usage(meters=["dau", "messages"], **span)
        again = recounted_usage(**span)
    stored = {(keys[row.app_id], row.meter, row.day, row.kind): row.value for row in rows}

    assert stored == recounted
    assert sorted(map(repr, rows)) == sorted(map(repr, again))


def test_late_usage_became_corrections_and_what_was_wrong_is_in_quarantine(demo: Seeded) -> None:
    ids = demo.tenant_ids
    with system_scope(purpose="test"):
        corrected = corrections(
            tenant_ids=ids,
            recorded_from=datetime(2026, 9, 1, tzinfo=UTC),
            recorded_to=NOW,
        )
        refused = rejected_events(limit=1000)
        assert changed_closed_days() == []
    assert corrected
    assert all(row.recorded_at.date() > row.day for row in corrected)
    assert {each.code for each in refused} >= {
        "unknown_app",
        "bad_time",
        "event_too_old",
        "event_in_future",
        "conflicting_duplicate",
    }
    assert all(each.tenant_id is not None for each in refused)


def test_documents_are_issued_in_the_first_hour_in_which_they_may_be(demo: Seeded) -> None:
    with system_scope(purpose="test"):
        issued = list(Invoice.objects.exclude(number=None).order_by("number"))
        drafts = list(Invoice.objects.filter(status=InvoiceStatus.DRAFT))
    assert len(issued) > 30
    for invoice in issued:
        assert invoice.issued_at is not None
        wait = invoice.issued_at - invoice.finalize_at
        assert timedelta(0) <= wait < timedelta(hours=1), invoice.number
    assert all(ENDS_AT - timedelta(days=2) < each.boundary_at for each in drafts)
    assert drafts, "some are in their grace"
    numbers = [int(str(invoice.number).rsplit("-", 1)[1]) for invoice in issued]
    assert numbers == list(range(1, len(issued) + 1))
    assert sorted(issued, key=lambda each: (each.issued_at, each.number)) == issued


def test_money_came_in_for_most_invoices_and_never_before_they_were_issued(demo: Seeded) -> None:
    with system_scope(purpose="test"):
        states = Counter(Invoice.objects.exclude(number=None).values_list("status", flat=True))
        for payment in Payment.objects.prefetch_related("allocations__invoice"):
            (allocation,) = payment.allocations.all()
            issued_at = allocation.invoice.issued_at
            assert issued_at is not None
            assert issued_at < payment.booked_at <= ENDS_AT
            assert payment.credited_minor == 0
        assert {"card", "bank_transfer"} == set(Payment.objects.values_list("method", flat=True))
    assert states["paid"] > 3 * states["open"] > 0


def test_a_fapiao_can_be_asked_for(demo: Seeded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Amounts bear tax, the product has its code, and both tax ids their right check characters."""
    monkeypatch.setattr(settings, "FAPIAO_API_BASE", "http://127.0.0.1:1")
    asked = next(each for each in people.shown_tenants(demo.world) if each.country == "CN")
    with system_scope(purpose="test"):
        invoice = Invoice.objects.filter(
            tenant__key=asked.key, status__in=["open", "paid"], total_minor__gt=0
        ).latest("issued_at")
        tenant = Tenant.objects.get(key=asked.key)
    assert 0 < invoice.tax_minor < invoice.total_minor
    with tenant_scope(tenant.id):
        title = FapiaoTitle(name=tenant.name, tax_id=tenant.tax_id)
        set_fapiao_buyer(tenant_id=tenant.id, title=title, now=NOW, actor="user:1")
        request_fapiao(tenant_id=tenant.id, invoice_id=invoice.id, now=NOW, actor="user:1")
        assert Fapiao.objects.get().total_minor == invoice.total_minor


def test_every_screen_has_something_to_show(demo: Seeded) -> None:
    shown = people.shown_tenants(demo.world)
    with system_scope(purpose="test"):
        assert tenant_rows(limit=10).total == 30
        assert run_rows(limit=10).total > 10
        assert sum(subscribers().values()) == 30
        assert billed_months(since=date(2026, 9, 1))
        assert receivables(now=ENDS_AT)
        everything = invoice_rows(now=ENDS_AT, limit=10)
        assert everything.total > 30
        assert {each.total.currency for each in everything.sums} == {"CNY", "USD"}
        overdue = invoice_rows(now=ENDS_AT, state=OVERDUE, limit=10)
        assert 0 < overdue.total < everything.total / 4
        detail = invoice_detail(invoice_id=everything.rows[-1].id, now=ENDS_AT)
        assert detail.lines
        for each in shown:
            tenant = Tenant.objects.get(key=each.key)
            assert [app.key for app in apps_of(tenant_id=tenant.id)] == sorted(
                app.key for app in each.apps
            )
            assert members_of(tenant_id=tenant.id)
            assert keys_of(tenant_id=tenant.id)
            assert subscriptions_of(tenant_id=tenant.id)
            assert closed_days(tenant_ids=[tenant.id], from_day=date(2026, 11, 1), to_day=UNTIL)
            own = invoice_rows(now=ENDS_AT, tenant_id=tenant.id, issued_only=True, limit=10)
            assert own.total
            paid = [row.id for row in own.rows if row.state == "paid"]
            assert payments_of_invoice(tenant_id=tenant.id, invoice_id=paid[0])
            (note,) = note_rows(tenant_id=tenant.id, limit=10).rows
            assert note.invoice_number in {row.number for row in own.rows}
            assert note.total.minor > 0
    assert shown[0].name[0] > "\u3000"
    assert shown[0].language == "zh-hans"


def test_days_are_closed_up_to_the_last_one(demo: Seeded) -> None:
    with system_scope(purpose="test"):
        zones = dict(Tenant.objects.values_list("id", "timezone"))
        watermarks = closed_until(tenant_ids=list(zones))
    of_zone = {str(each.zone): each.zone for each in demo.world.tenants}
    assert watermarks == {
        tenant_id: local_day(ENDS_AT, of_zone[zone]) for tenant_id, zone in zones.items()
    }


def test_logins_are_for_their_owner_alone_and_open_the_doors(demo: Seeded) -> None:
    path = demo.home / "demo.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    logins = json.loads(path.read_text(encoding="utf-8"))["logins"]
    roles = {each["role"] for each in logins if not each["tenant"]}
    assert roles == {"finance", "sales", "operations", "admin", "auditor"}
    assert {each["role"] for each in logins if each["tenant"]} == {
        "owner",
        "billing",
        "developer",
        "viewer",
    }
    with system_scope(purpose="test"):
        for each in logins:
            user = User.objects.get(email=each["email"])
            assert user.check_password(each["password"])
            assert user.staff_role == ("" if each["tenant"] else each["role"])


def test_a_finished_world_is_left_alone(demo: Seeded) -> None:
    before = counts(demo.world)
    told: list[str] = []
    seed_demo(
        request=DemoRequest(tenants=30, months=2, seed=2026),
        now=NOW + timedelta(days=3),
        home=demo.home,
        tell=told.append,
    )
    assert told == ["The demo world is there already; nothing was changed."]
    assert counts(demo.world) == before
    with pytest.raises(Conflict) as refusal:
        seed_demo(
            request=DemoRequest(tenants=31, months=2), now=NOW, home=demo.home, tell=told.append
        )
    assert refusal.value.code == "other_demo_begun"


@pytest.mark.usefixtures("db")
def test_one_seed_gives_one_world(tmp_path: Path) -> None:
    first = _all_of(seed(SMALL, tmp_path / "first"))
    empty_tables()
    second = _all_of(seed(SMALL, tmp_path / "second"))
    assert first == second


@pytest.mark.usefixtures("db")
def test_killed_again_and_again_it_ends_as_if_nothing_had_been(
    tmp_path: Path, summit_home: Path
) -> None:
    wanted = _all_of(seed(SMALL, tmp_path))
    empty_tables()
    began = time.monotonic()
    program = (
        "import os, sys; os.environ['DJANGO_SETTINGS_MODULE'] = 'config.settings'\n"
        "import django; django.setup(); print('ready', flush=True)\n"
        "from django.core.management import call_command\n"
        f"call_command('seed_demo', tenants=4, months=1, seed=7, until={UNTIL!r}, json=True)\n"
    ).replace("until=datetime.date", "until=__import__('datetime').date")
    pause = 0.4
    while True:
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=Path(__file__).resolve().parents[2],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            out, err = process.communicate(timeout=pause)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            pause *= 2
        else:
            assert process.returncode == 0, err
            break
        assert time.monotonic() - began < 200, "it never ends"
    assert json.loads(out)["tenants"] == 4
    assert _all_of(Seeded(world=_small_world(), home=summit_home, told=[])) == wanted


@pytest.mark.usefixtures("db")
def test_demo_data_never_mixes_with_real_data(tmp_path: Path) -> None:
    a_tenant()
    with pytest.raises(Conflict) as refusal:
        seed(SMALL, tmp_path)
    assert refusal.value.code == "database_not_empty"
    assert not (tmp_path / "demo.json").exists()
    with system_scope(purpose="test"):
        assert Tenant.objects.count() == 1
        assert User.objects.count() == 0


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (DemoRequest(tenants=0), "demo_size_out_of_range"),
        (DemoRequest(months=25), "demo_size_out_of_range"),
        (DemoRequest(until=date(2026, 11, 25)), "until_in_future"),
    ],
)
def test_what_cannot_be_made_is_refused_before_anything_is(
    request_: DemoRequest, code: str, tmp_path: Path
) -> None:
    with pytest.raises(Invalid) as refusal:
        seed(request_, tmp_path)
    assert refusal.value.code == code
    assert not (tmp_path / "demo.json").exists()
    with system_scope(purpose="test"):
        assert not AuditRecord.objects.exists()


@pytest.mark.usefixtures("db")
def test_no_demo_where_cards_are_charged(settings_live: None) -> None:
    with pytest.raises(CommandFault) as refusal:
        call_command("seed_demo", stdout=StringIO(), stderr=StringIO())
    assert refusal.value.code == "demo_with_live_payments"


@pytest.fixture
def settings_live() -> Iterator[None]:
    from django.test import override_settings

    with override_settings(STRIPE_SECRET_KEY="sk_live_not_a_key"):
        yield


@pytest.mark.parametrize("tenants", [1, 2, 40, 400])
def test_worlds_of_every_size(tenants: int) -> None:
    world = demo_world(seed=3, tenants=tenants, months=3, until=date(2026, 3, 1))
    assert (world.first_on, len(world.tenants)) == (date(2025, 12, 1), tenants)
    assert len({each.key for each in world.tenants}) == tenants
    assert len({app.key for each in world.tenants for app in each.apps}) == sum(
        len(each.apps) for each in world.tenants
    )
    for each in world.tenants:
        assert each.starts_on + timedelta(days=len(each.users)) == world.until + timedelta(days=1)
        assert each.created_at.date() <= each.starts_on <= world.until
    if tenants == 400:
        chinese = sum(each.name[0] > "\u3000" for each in world.tenants)
        assert 0.28 < chinese / tenants < 0.38
        assert {len(each.apps) for each in world.tenants} == {1, 2, 3}
        assert max(len(each.name) for each in world.tenants) > 70


def _small_world() -> DemoWorld:
    return demo_world(seed=SMALL.seed, tenants=SMALL.tenants, months=SMALL.months, until=UNTIL)


def _all_of(seeded: Seeded) -> dict[str, Any]:
    """All that is not named by a random id."""
    with system_scope(purpose="test"):
        invoices = [
            {**invoice_document(each), "id": ""} for each in all_invoices(wanted=InvoiceFilter())
        ]
        payments = list(
            Payment.objects.order_by("external_id").values_list(
                "external_id", "amount_minor", "booked_at"
            )
        )
        refused = Counter(each.code for each in rejected_events(limit=1000))
    return {**counts(seeded.world), "all": invoices, "paid": payments, "refused": refused}
