"""Plays the demo world through the product's own services, with the clock moved along.

It begins only in a database without tenants and marks in the deployment's audit trail that it did. When
it is stopped and started again, it goes on: each step either finds its effect in the database or makes
it, so the world comes out the same.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from heapq import heappop, heappush
from pathlib import Path
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import connections
from django.db.models import Min

from billing.catalog import examples
from billing.catalog.queries import versions_of
from billing.catalog.services import load_plans
from billing.fapiao.domain.content import FapiaoProduct
from billing.fapiao.domain.identifiers import check_character
from billing.fapiao.services.set_product import set_fapiao_product
from billing.invoicing.crediting import LineCredit
from billing.invoicing.domain import InvoiceStatus
from billing.invoicing.models import CreditNote, Invoice, InvoiceLine
from billing.invoicing.services.credit_invoice import credit_invoice
from billing.invoicing.services.describe_seller import describe_seller
from billing.invoicing.services.run_billing import execute_run, scheduled_run_of
from billing.payments.domain import Gateway, Method, bank_reference
from billing.payments.services.book_payment import Receipt, book_payment, lock_invoice
from billing.subscriptions.models import Subscription
from billing.subscriptions.services import NewSubscription, subscribe
from billing.taxes.services import load_taxes
from config.demo import people
from config.demo.payers import Instalment, instalments, method_of
from config.demo.traffic import Arrivals, Traffic
from config.demo.world import DemoTenant, DemoWorld, demo_world
from kernel import clock
from kernel.errors import Conflict, Invalid
from kernel.money import Money
from kernel.period import local_day, local_midnight
from metering.meters.domain import METERS
from metering.models import Batch
from metering.services import close_days, collect_events, ingest_events, roll_up_pending
from tenants import audit
from tenants.domain import KeyScope, StaffRole, TaxTreatment
from tenants.models import AuditRecord, Tenant, User
from tenants.scope import system_scope
from tenants.services.api_keys import create_api_key
from tenants.services.create_tenant import NewTenant, create_tenant
from tenants.services.set_tax import TaxStanding, set_tax
from work.connections import JOBS, OWNER

ACTOR: Final = "command:seed_demo"
HOME_ZONE: Final = ZoneInfo("Asia/Shanghai")
"""Where the operator is: its midnight is the world's daily tick."""

_BEGUN: Final = "demo.begun"
_FINISHED: Final = "demo.finished"
_PURPOSE: Final = "make the demo world"
_AN_HOUR: Final = timedelta(hours=1)
_ONE_DAY: Final = timedelta(days=1)
_LEFT_TO_PAY: Final = timedelta(days=31)
"""Tenants whose members can sign in have an invoice of so long ago at most that is still to be paid."""
_LEAST_CREDITED: Final = 1000
"""Minor units: of less than that a tenth says little."""
_MOST_EVENTS: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoRequest:
    """What world is asked for; `until` None for today."""

    tenants: int = 300
    months: int = 6
    seed: int = 2026
    until: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Begun:
    """The world that was begun in this database."""

    tenants: int
    months: int
    seed: int
    ends_at: datetime
    is_finished: bool

    def world(self) -> DemoWorld:
        return demo_world(
            seed=self.seed,
            tenants=self.tenants,
            months=self.months,
            until=local_day(self.ends_at, HOME_ZONE),
        )


def seed_demo(
    *, request: DemoRequest, now: datetime, home: Path, tell: Callable[[str], None]
) -> DemoWorld:
    """Make the demo world, or finish the one that was begun; opens its own scopes.

    Raises Conflict `database_not_empty` when there are tenants of another origin and
    `other_demo_begun` when another world was begun here; Invalid `until_in_future` and as
    `demo_world`.
    """
    with _alone():
        begun = _begin(request, now=now)
        world = begun.world()
        if begun.is_finished:
            tell("The demo world is there already; nothing was changed.")
            return world
        _Play(world=world, ends_at=begun.ends_at, home=home, tell=tell).run()
        with _scope():
            audit.record(audit.Entry(tenant_id=None, actor=ACTOR, action=_FINISHED), now=now)
        return world


@contextmanager
def _alone() -> Iterator[None]:
    """Raises Conflict `demo_in_progress` while another process makes the world."""
    with connections[OWNER].cursor() as cursor:
        # On the owner's direct connection, which is kept open all the while.
        cursor.execute("SELECT pg_try_advisory_lock(hashtextextended('summit demo', 0))")
        if not cursor.fetchone()[0]:
            raise Conflict(
                "demo_in_progress",
                "Another process is making the demo world; wait until it is done.",
            )
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(hashtextextended('summit demo', 0))")


def _begin(request: DemoRequest, *, now: datetime) -> _Begun:
    """Mark the world as begun, or find the mark."""
    ends_at = _ends_at(request.until, now=now)
    with _scope():
        marks = {
            mark.action: mark.after
            for mark in AuditRecord.objects.filter(
                tenant=None, action__in=[_BEGUN, _FINISHED]
            ).order_by("sequence")
        }
        mark = marks.get(_BEGUN)
        if mark is not None:
            return _same(mark, request=request, is_finished=_FINISHED in marks)
        if Tenant.objects.exists():
            raise Conflict(
                "database_not_empty",
                "There are tenants in this database, and demo data must not mix with them; "
                "use an empty database, or another SUMMIT_HOME.",
            )
        begun = _Begun(
            tenants=request.tenants,
            months=request.months,
            seed=request.seed,
            ends_at=ends_at,
            is_finished=False,
        )
        begun.world()  # what is out of range is refused before anything is written
        audit.record(
            audit.Entry(
                tenant_id=None,
                actor=ACTOR,
                action=_BEGUN,
                after={
                    "tenants": begun.tenants,
                    "months": begun.months,
                    "seed": begun.seed,
                    "ends_at": begun.ends_at.isoformat(),
                },
            ),
            now=now,
        )
    return begun


def _same(mark: Mapping[str, Any], *, request: DemoRequest, is_finished: bool) -> _Begun:
    begun = _Begun(
        tenants=mark["tenants"],
        months=mark["months"],
        seed=mark["seed"],
        ends_at=datetime.fromisoformat(mark["ends_at"]),
        is_finished=is_finished,
    )
    asked = (request.tenants, request.months, request.seed)
    until = local_day(begun.ends_at, HOME_ZONE)
    if asked != (begun.tenants, begun.months, begun.seed) or request.until not in {None, until}:
        raise Conflict(
            "other_demo_begun",
            f"This database holds the demo of seed {begun.seed} with {begun.tenants} tenants and "
            f"{begun.months} months until {until}; give the same options to finish it, or use "
            "an empty database.",
        )
    return begun


def _ends_at(until: date | None, *, now: datetime) -> datetime:
    """The world's last instant: now, or the evening of the day that was named."""
    if until is None:
        return now
    if local_midnight(until, HOME_ZONE) > now:
        raise Invalid(
            "until_in_future", f"until is {until}, which has not begun; name today or a day before.",
            field="until",
        )  # fmt: skip
    return min(now, local_midnight(until, HOME_ZONE) + timedelta(hours=20))


@dataclass(slots=True, kw_only=True)
class _Month:
    """What happened in a month, for the person who waits."""

    events: int = 0
    invoices: int = 0
    payments: int = 0


@dataclass(order=True, slots=True)
class _Due:
    """An instalment on its way, in the order of its coming."""

    at: datetime
    number: str
    instalment: Instalment = field(compare=False)
    invoice_id: UUID = field(compare=False)
    tenant: DemoTenant = field(compare=False)


class _Play:
    """One run through the world's history."""

    def __init__(
        self, *, world: DemoWorld, ends_at: datetime, home: Path, tell: Callable[[str], None]
    ) -> None:
        self._world = world
        self._ends_at = ends_at
        self._tell = tell
        self._traffic = Traffic(world)
        self._tenant_ids: dict[str, UUID] = {}
        self._of_id: dict[UUID, DemoTenant] = {}
        self._coming = sorted(world.tenants, key=lambda each: (each.created_at, each.key))
        self._shown = people.shown_tenants(world)
        self._due: list[_Due] = []
        self._finance = ""
        self._arrived: set[datetime] = set()  # before this start
        self._month = _Month()
        noted = people.read_logins(home)
        self._logins = [
            replace(each, password=noted.get(each.email, each.password))
            for each in people.cast(world)
        ]
        people.write_logins(home, self._logins)

    def run(self) -> None:
        """From the opening to the last instant."""
        with connections[JOBS].cursor() as cursor:
            # A crash may take back the last moments, but in order; the next start makes them again.
            cursor.execute("SET synchronous_commit TO off")
            self._play()
            cursor.execute("SET synchronous_commit TO DEFAULT")

    def _play(self) -> None:
        began = time.monotonic()
        self._open()
        shown = ""
        last_run = datetime.min.replace(tzinfo=UTC)
        due = None
        for tick in self._ticks():
            month = f"{local_day(tick, HOME_ZONE):%Y-%m}"
            if shown not in {"", month}:
                self._show(shown, since=began)
            shown = month
            with clock.moved_to(tick):
                self._enrol(until=tick)
                due = self._next_due()
            while due is not None and (at := max(_next_hour(due), last_run + _AN_HOUR)) <= tick:
                last_run = at
                with clock.moved_to(at):
                    with _scope():
                        self._deliver(self._traffic.until(at), at=at)
                    self._bill(at=at)
                    due = self._next_due()
            with clock.moved_to(tick), _scope():
                self._reprice(at=tick)
                is_last = tick == self._ends_at
                arrivals = self._traffic.last(tick) if is_last else self._traffic.until(tick)
                self._deliver(arrivals, at=tick)
                close_days(now=tick)
                self._receive(until=tick)
                if is_last:
                    self._credit(at=tick)
        # The hours of the last day, which no day close has counted yet.
        roll_up_pending(now=self._ends_at)
        self._show(shown, since=began)

    def _ticks(self) -> Iterator[datetime]:
        """Each midnight of the operator, then the last instant."""
        day = self._world.first_on
        while (tick := local_midnight(day, HOME_ZONE)) < self._ends_at:
            yield tick
            day += _ONE_DAY
        yield self._ends_at

    def _show(self, month: str, *, since: float) -> None:
        done = self._month
        self._tell(
            f"  {month}: {done.events:,} events, {done.invoices} invoices issued, "
            f"{done.payments} payments ({time.monotonic() - since:.0f} s)"
        )
        self._month = _Month()
        # The tables grow from nothing within a minute, faster than the server looks at them.
        with connections[OWNER].cursor() as cursor:
            cursor.execute("ANALYZE")

    def _open(self) -> None:
        """Price book and staff; and what an earlier start has done already."""
        opening = local_midnight(self._world.first_on, HOME_ZONE) - 30 * _ONE_DAY
        with clock.moved_to(opening), _scope():
            people.make_staff(self._logins, now=opening, actor=ACTOR)
            load_taxes(document=examples.tax_rates(), now=opening, actor=ACTOR)
            describe_seller(changes=SELLER, now=opening, actor=ACTOR)
            set_fapiao_product(category="", product=PRODUCT, now=opening, actor=ACTOR)
            finance = User.objects.filter(staff_role=StaffRole.FINANCE).order_by("pk").first()
            self._finance = "" if finance is None else f"user:{finance.pk}"
            if not versions_of(plan_key="starter"):
                first = {each["key"]: each for each in examples.plans("chat-cloud")}
                first |= {each["key"]: each for each in examples.plans("chat-cloud-opening")}
                _load(list(first.values()), now=opening)
            by_key = {each.key: each for each in self._world.tenants}
            for tenant_id, key in Tenant.objects.values_list("id", "key"):
                self._known(by_key[key], tenant_id)
            self._arrived = set(Batch.objects.values_list("received_at", flat=True).distinct())
            self._expect(Invoice.objects.filter(status=InvoiceStatus.OPEN))
        self._tell(f"Price book, {sum(not each.tenant for each in self._logins)} staff logins")

    def _known(self, tenant: DemoTenant, tenant_id: UUID) -> None:
        self._tenant_ids[tenant.key] = tenant_id
        self._of_id[tenant_id] = tenant

    def _enrol(self, *, until: datetime) -> None:
        """Those who come up to `until`: tenant, people and subscription."""
        coming = []
        while self._coming and self._coming[0].created_at <= until:
            coming.append(self._coming.pop(0))
        coming = [each for each in coming if each.key not in self._tenant_ids]
        if not coming:
            return
        with _scope():
            for each in coming:
                self._known(each, _enrolled(each))
                self._let_in(each)

    def _let_in(self, tenant: DemoTenant) -> None:
        """The members that the demo shows, and a key for their programs."""
        now = tenant.created_at + _AN_HOUR
        if any(each.tenant == tenant.key for each in self._logins):
            people.make_members(self._logins, tenant=tenant, now=now, actor=ACTOR)
            create_api_key(
                tenant_id=self._tenant_ids[tenant.key],
                scope=KeyScope.INGEST,
                label="backend",
                now=now,
                actor=ACTOR,
            )

    def _reprice(self, *, at: datetime) -> None:
        """The dearer entry plan, for those who come after it; the others keep what they agreed to."""
        if at < local_midnight(self._world.repriced_on, HOME_ZONE):
            return
        if len(versions_of(plan_key="starter")) == 1:
            _load(examples.plans("chat-cloud"), now=at)

    def _deliver(self, arrivals: Arrivals, *, at: datetime) -> None:
        """In the caller's transaction, so that the arrival of any of it says that all has arrived."""
        if at in self._arrived or not arrivals.events:
            return
        for start in range(0, len(arrivals.events), _MOST_EVENTS):
            part = arrivals.events[start : start + _MOST_EVENTS]
            self._month.events += collect_events(events=part, now=at).accepted
        for tenant, refused in arrivals.refused:
            ingest_events(tenant_id=self._tenant_ids[tenant.key], events=refused, now=at)

    def _next_due(self) -> datetime | None:
        """The next instant at which a document is to be drafted or issued."""
        with _scope():
            boundary = Subscription.objects.filter(parked_code="").aggregate(
                at=Min("next_boundary_at")
            )
            draft = Invoice.objects.filter(
                status=InvoiceStatus.DRAFT, subscription__parked_code=""
            ).aggregate(at=Min("finalize_at"))
        found = [each["at"] for each in (boundary, draft) if each["at"] is not None]
        return min(found) if found else None

    def _bill(self, *, at: datetime) -> None:
        """The hourly run of that hour."""
        run_id = scheduled_run_of(slot_at=at, now=at)
        result = execute_run(run_id=run_id, clock=lambda: at)
        self._month.invoices += result.finalized
        if result.finalized:
            with _scope():
                self._expect(Invoice.objects.filter(status=InvoiceStatus.OPEN, issued_at=at))

    def _expect(self, invoices: Any) -> None:
        """Work out how these invoices will be paid."""
        for invoice in invoices.order_by("number"):
            tenant = self._of_id[invoice.tenant_id]
            if tenant in self._shown and invoice.boundary_at > self._ends_at - _LEFT_TO_PAY:
                continue
            for each in instalments(
                tenant,
                seed=self._world.seed,
                boundary_at=invoice.boundary_at,
                issued_at=invoice.issued_at,
                total=Money(invoice.total_minor, invoice.currency),
            ):
                heappush(
                    self._due,
                    _Due(
                        at=each.at,
                        number=f"{invoice.number}-{each.part}",
                        instalment=each,
                        invoice_id=invoice.id,
                        tenant=tenant,
                    ),
                )

    def _receive(self, *, until: datetime) -> None:
        """Book the money that came up to `until`."""
        while self._due and self._due[0].at <= until:
            due = heappop(self._due)
            booked = book_payment(
                invoice=lock_invoice(invoice_id=due.invoice_id),
                receipt=self._receipt(due),
                now=due.at,
            )
            self._month.payments += booked is not None

    def _credit(self, *, at: datetime) -> None:
        """To the tenants whose people can sign in, a tenth of the largest line of the last invoice that they paid, once."""
        for tenant in sorted(self._shown, key=lambda each: each.key):
            tenant_id = self._tenant_ids[tenant.key]
            line = (
                InvoiceLine.objects.filter(
                    tenant_id=tenant_id,
                    invoice__status=InvoiceStatus.PAID,
                    amount_minor__gte=_LEAST_CREDITED,
                    discount_minor=0,
                )
                .select_related("invoice")
                .order_by("-invoice__issued_at", "-invoice__number", "-amount_minor", "position")
                .first()
            )
            if line is None or CreditNote.objects.filter(tenant_id=tenant_id).exists():
                continue
            credit_invoice(
                invoice_id=line.invoice_id,
                lines=[
                    LineCredit(
                        position=line.position,
                        amount=Money(line.amount_minor // 10, line.invoice.currency),
                    )
                ],
                reason="Messages were delayed for two hours",
                now=at,
                actor=self._finance or ACTOR,
            )

    def _receipt(self, due: _Due) -> Receipt:
        method = method_of(due.tenant, seed=self._world.seed)
        is_card = method is Method.CARD
        return Receipt(
            method=method,
            gateway=Gateway.STRIPE if is_card else Gateway.BANK,
            external_id=f"pi_demo_{due.number}" if is_card else bank_reference(f"ST {due.number}"),
            amount=due.instalment.amount,
            received_on=local_day(due.at, due.tenant.zone),
            booked_by="stripe" if is_card else self._finance,
        )


def _scope() -> AbstractContextManager[None]:
    return system_scope(purpose=_PURPOSE, actor=ACTOR)


def _enrolled(tenant: DemoTenant) -> UUID:
    """Make the tenant and its subscription in the caller's scope."""
    created = create_tenant(
        tenant=NewTenant(
            key=tenant.key,
            name=tenant.name,
            timezone=tenant.zone.key,
            apps=[app.key for app in tenant.apps],
            language=tenant.language,
            country=tenant.country,
            address=tenant.address,
            tax_id=tenant.tax_id,
            billing_email=tenant.billing_email,
        ),
        now=tenant.created_at,
        actor=ACTOR,
    )
    if tenant.country == SELLER["country"]:
        # At home services bear tax, without which no fapiao could be asked for.
        set_tax(
            tenant_key=tenant.key,
            standing=TaxStanding(
                country=tenant.country, tax_id=tenant.tax_id, treatment=TaxTreatment.TAXABLE
            ),
            now=tenant.created_at,
            actor=ACTOR,
        )
    subscribe(
        plan_key=tenant.plan,
        subscription=NewSubscription(
            tenant_id=created.id,
            timezone=tenant.zone.key,
            starts_at=local_midnight(tenant.starts_on, tenant.zone),
            anchor=tenant.anchor,
        ),
        now=tenant.created_at,
        actor=ACTOR,
    )
    return created.id


SELLER: Final[Mapping[str, str]] = {
    "name": "峰会通讯科技（上海）有限公司 · Summit Messaging (Shanghai) Co., Ltd.",
    "address": "100 Century Avenue, Pudong\nShanghai 200120, China",
    "country": "CN",
    # A unified social credit code with its right check character, and nobody's.
    "tax_id": "91310000DEM000000" + check_character("91310000DEM000000"),
    "tax_category": "software_service",
    "bank_details": "Demo Bank, Shanghai Branch\nAccount 0000 0000 0000 0000",
}


PRODUCT: Final = FapiaoProduct(
    name="*信息技术服务*即时通讯服务费", code="3040203000000000000", unit="项"
)


def _load(documents: Sequence[Mapping[str, Any]], *, now: datetime) -> None:
    load_plans(documents=documents, known_meters=METERS, now=now, actor=ACTOR)


def _next_hour(instant: datetime) -> datetime:
    """The full hour at or after the instant."""
    hour = instant.replace(minute=0, second=0, microsecond=0)
    return hour if hour == instant else hour + _AN_HOUR
