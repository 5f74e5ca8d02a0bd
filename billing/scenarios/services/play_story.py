"""Play a story: its steps through the services, and what falls due between them by billing runs."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import singledispatchmethod
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from billing.catalog.services import load_plans
from billing.discounts.services import create_coupons
from billing.invoicing.crediting import LineCredit
from billing.invoicing.services.agree_discount import (
    AgreedDiscount,
    agree_discount,
    end_discount,
)
from billing.invoicing.services.change_subscription import change_subscription
from billing.invoicing.services.credit_invoice import credit_invoice
from billing.invoicing.services.describe_seller import describe_seller
from billing.invoicing.services.migrate_plan import (
    NewMigration,
    execute_migration,
    start_migration,
)
from billing.invoicing.services.run_billing import create_run, execute_run
from billing.payments.domain import Gateway, Method
from billing.payments.services.book_payment import (
    Receipt,
    book_payment,
    lock_invoice,
    outstanding_of,
)
from billing.payments.services.expire_balances import expire_balances
from billing.payments.services.grant_balance import grant_balance
from billing.payments.services.pay_from_balance import pay_issued_from_balance
from billing.rating.adjustments.tax import TaxRounding
from billing.scenarios.domain.steps import (
    Action,
    Advance,
    AgreeDiscount,
    Change,
    CreateTenant,
    Credit,
    EndDiscount,
    Grant,
    LoadPlans,
    Migrate,
    Pay,
    RedeemCoupon,
    SendEvents,
    SetUsage,
    StepFault,
    Story,
    Subscribe,
    Which,
)
from billing.scenarios.queries import (
    invoices_in_order,
    next_due,
    result_document,
    started_subscriptions,
    tenant_currency,
)
from billing.subscriptions.domain import SubscriptionStatus
from billing.subscriptions.queries import subscription_not_found
from billing.subscriptions.services import NewSubscription, subscribe
from billing.taxes.services import load_taxes
from kernel import clock
from kernel.errors import Conflict, DomainError, Invalid, NotFound
from kernel.money import Money, round_amount
from kernel.period import local_day
from metering.queries import known_meters
from metering.services import ingest_events, set_usage
from tenants.models import App, Tenant
from tenants.scope import system_scope
from tenants.services.create_tenant import NewTenant, check_timezone, create_tenant
from work.sandbox import sandbox

ACTOR: Final = "scenario"
_FILLED_BY_SET_UP: Final = (
    "billing_seller",
    "billing_ledgeraccount",
    "metering_meter_definition",
)
_LOOKS_BACK: Final = (Change, Migrate, Pay, Credit, Advance)
"""Steps that act on what billing made: all that is due up to their instant happens before them. Of
any other step what is due before its instant does, so that steps of one instant come together."""
_BEFORE_ALL: Final = datetime(1900, 1, 1, tzinfo=UTC)


def play_story(*, story: Story) -> dict[str, Any]:
    """The result document of a story; nothing of it is kept.

    One transaction, which is rolled back, with a clock of its own: every step happens at its
    instant, and between steps all that falls due does, in order, as `bill --finalize` does it.
    Raises StepFault for a step that can't be done.
    """
    with sandbox(copying=_FILLED_BY_SET_UP):
        player = _Player(story)
        player.play()
        return player.result()


class _Player:
    """The world of one story while it is played."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._now = _BEFORE_ALL
        self._has_news = False
        self._step = 0

    def play(self) -> None:
        if self._story.steps:
            self._now = self._story.steps[0].at
        try:
            self._set_up()
        except DomainError as error:
            raise StepFault(error, step=None) from error
        for step in self._story.steps:
            self._step = step.index
            try:
                self._pass_time(until=step.at, to_its_end=isinstance(step.action, _LOOKS_BACK))
                self._now = step.at
                with clock.moved_to(step.at):
                    self._do(step.action)
                self._has_news = True
            except DomainError as error:
                raise StepFault(error, step=step.index) from error
        try:
            self._pass_time(until=self._now, to_its_end=True)
        except DomainError as error:
            raise StepFault(error, step=self._step) from error

    def result(self) -> dict[str, Any]:
        with clock.moved_to(self._now), system_scope(purpose="scenario", actor=ACTOR):
            try:
                return result_document(at=self._now, currency=self._story.currency)
            except DomainError as error:
                raise StepFault(error, step=self._step) from error

    def _set_up(self) -> None:
        with clock.moved_to(self._now), system_scope(purpose="scenario", actor=ACTOR):
            # Of the deployment's seller a story takes nothing along that changes its amounts.
            describe_seller(
                changes={
                    "country": "",
                    "tax_rounding": TaxRounding.PER_RATE,
                    "tax_category": "",
                    **self._story.seller,
                },
                now=self._now,
                actor=ACTOR,
            )
            if self._story.taxes:
                load_taxes(document=list(self._story.taxes), now=self._now, actor=ACTOR)
            if self._story.coupons:
                create_coupons(document=list(self._story.coupons), now=self._now, actor=ACTOR)
        self._load_plans(self._story.plans)

    def _load_plans(self, documents: Sequence[Mapping[str, Any]]) -> None:
        with clock.moved_to(self._now), system_scope(purpose="scenario", actor=ACTOR):
            load_plans(
                documents=documents,
                known_meters=known_meters(),
                now=self._now,
                actor=ACTOR,
            )

    def _pass_time(self, *, until: datetime, to_its_end: bool) -> None:
        """Let happen what is due before `until`, and with `to_its_end` at it too."""
        if self._has_news and (to_its_end or self._now < until):
            self._bill(self._now)
        while True:
            with clock.moved_to(self._now), system_scope(purpose="scenario", actor=ACTOR):
                due = next_due(after=self._now)
            if due is None or due > until or (due == until and not to_its_end):
                break
            self._bill(due)
        if to_its_end and self._now < until:
            self._bill(until)  # the days up to it close

    def _bill(self, at: datetime) -> None:
        self._now = at
        self._has_news = False
        with clock.moved_to(at):
            with system_scope(purpose="scenario", actor=ACTOR):
                expire_balances(now=at)
                run_id = create_run(at=at, finalize=True, requested_by=ACTOR, now=at)
            result = execute_run(run_id=run_id, clock=clock.now)
            pay_issued_from_balance(issued_at=at)
        for parked in result.parked:
            raise Conflict(parked.code, f"Tenant {parked.tenant} can't be billed: {parked.detail}")

    @singledispatchmethod
    def _do(self, action: Action) -> None:
        raise TypeError(f"no step does {type(action).__name__}")

    @_do.register
    def _(self, action: Advance) -> None:
        """Time has passed before the step."""

    @_do.register
    def _(self, action: CreateTenant) -> None:
        with system_scope(purpose="scenario", actor=ACTOR):
            create_tenant(
                tenant=NewTenant(
                    key=action.tenant,
                    name=action.name,
                    timezone=action.timezone,
                    apps=action.apps,
                    country=action.country,
                    tax_id=action.tax_id,
                    tax_treatment=action.tax_treatment,
                    tax_percent=action.tax_percent,
                    consolidates_invoices=action.consolidate,
                ),
                now=self._now,
                actor=ACTOR,
            )

    @_do.register
    def _(self, action: Subscribe) -> None:
        with system_scope(purpose="scenario", actor=ACTOR):
            tenant = _tenant(action.tenant)
            subscribe(
                plan_key=action.plan,
                subscription=NewSubscription(
                    tenant_id=tenant.id,
                    timezone=tenant.timezone
                    if action.timezone is None
                    else check_timezone(action.timezone),
                    starts_at=action.starts_at or self._now,
                    anchor=action.anchor,
                    quantities=action.quantities,
                    addons=action.addons,
                ),
                now=self._now,
                actor=ACTOR,
            )

    @_do.register
    def _(self, action: SetUsage) -> None:
        with system_scope(purpose="scenario", actor=ACTOR):
            app = _app(action.app)
            set_usage(
                tenant_id=app.tenant_id,
                app_id=app.id,
                meter=action.meter,
                day=action.day,
                value=action.value,
                kind=action.kind,
                now=self._now,
                reason=ACTOR,
            )

    @_do.register
    def _(self, action: SendEvents) -> None:
        with system_scope(purpose="scenario", actor=ACTOR):
            app = _app(action.app)
            taken = ingest_events(
                tenant_id=app.tenant_id, events=action.events, now=self._now, check_age=False
            )
        for rejected in taken.rejected:
            raise Invalid(
                rejected.code, f"events[{rejected.index}]: {rejected.detail}", field="events"
            )

    @_do.register
    def _(self, action: Change | RedeemCoupon) -> None:
        with system_scope(purpose="scenario", actor=ACTOR):
            tenant = _tenant(action.tenant)
            change_subscription(
                tenant_id=tenant.id,
                subscription_id=_subscription(tenant, action.which),
                asked=action.asked,
                now=self._now,
                actor=ACTOR,
            )

    @_do.register
    def _(self, action: AgreeDiscount) -> None:
        with system_scope(purpose="scenario", actor=ACTOR):
            tenant = _tenant(action.tenant)
            agree_discount(
                tenant_id=tenant.id,
                subscription_id=_subscription(tenant, action.which),
                agreed=AgreedDiscount(document=action.document, when=action.when, reason=ACTOR),
                now=self._now,
                actor=ACTOR,
            )

    @_do.register
    def _(self, action: EndDiscount) -> None:
        with system_scope(purpose="scenario", actor=ACTOR):
            tenant = _tenant(action.tenant)
            end_discount(
                tenant_id=tenant.id,
                subscription_id=_subscription(tenant, action.which),
                number=action.number,
                reason=ACTOR,
                now=self._now,
                actor=ACTOR,
            )

    @_do.register
    def _(self, action: LoadPlans) -> None:
        self._load_plans([{**self._story.plan_defaults, **plan} for plan in action.plans])

    @_do.register
    def _(self, action: Migrate) -> None:
        with system_scope(purpose="scenario", actor=ACTOR):
            migration_id = start_migration(
                migration=NewMigration(
                    from_plan=action.plan,
                    from_number=action.from_number,
                    to_plan=action.to_plan,
                    to_number=action.to_number,
                    when=action.when,
                    tenant_keys=action.tenants,
                ),
                now=self._now,
                actor=ACTOR,
            )
        execute_migration(migration_id=migration_id, now=self._now)

    @_do.register
    def _(self, action: Grant) -> None:
        with system_scope(purpose="scenario", actor=ACTOR):
            tenant = _tenant(action.tenant)
            currency = tenant_currency(tenant.id, default=self._story.currency)
            grant_balance(
                tenant_id=tenant.id,
                kind=action.kind,
                amount=_money(action.amount, currency),
                expires_at=action.expires_at,
                priority=action.priority,
                scope=action.scope,
                reason="",
                now=self._now,
                actor=ACTOR,
            )

    @_do.register
    def _(self, action: Credit) -> None:
        with system_scope(purpose="scenario", actor=ACTOR):
            invoice = lock_invoice(invoice_id=_invoice_id(action.invoice))
            credit_invoice(
                invoice_id=invoice.id,
                lines=[
                    LineCredit(position=place, amount=_money(amount, invoice.currency))
                    for place, amount in action.lines
                ],
                reason=action.reason,
                now=self._now,
                actor=ACTOR,
            )

    @_do.register
    def _(self, action: Pay) -> None:
        with system_scope(purpose="scenario", actor=ACTOR):
            invoice = lock_invoice(invoice_id=_invoice_id(action.invoice))
            outstanding = outstanding_of(invoice)
            if not outstanding:
                raise Conflict(
                    "invoice_not_open",
                    f"Invoice {invoice.number} is {invoice.status}; choose one that is open.",
                    field="invoice",
                )
            book_payment(
                invoice=invoice,
                receipt=Receipt(
                    method=Method.BANK_TRANSFER,
                    gateway=Gateway.BANK,
                    external_id=f"SCENARIO-{self._step}",
                    amount=outstanding
                    if action.amount is None
                    else _money(action.amount, invoice.currency),
                    received_on=local_day(self._now, ZoneInfo(invoice.timezone)),
                    booked_by=ACTOR,
                ),
                now=self._now,
            )


def _subscription(tenant: Tenant, which: Which) -> UUID | None:
    """The subscription that a step names; None where it names none, for the only one that runs."""
    if which.number is None and not which.plan:
        return None
    started = started_subscriptions(tenant_id=tenant.id)
    if which.number is not None:
        started = started[which.number - 1 : which.number]
    else:
        started = [row for row in started if row.status is SubscriptionStatus.ACTIVE]
    found = [row.id for row in started if which.plan in {"", row.plan_key}]
    if not found:
        raise subscription_not_found()
    return found[-1]


def _tenant(key: str) -> Tenant:
    tenant = Tenant.objects.filter(key=key).first()
    if tenant is None:
        raise NotFound("tenant_not_found", f"There is no tenant {key!r}.", field="tenant")
    return tenant


def _app(key: str) -> App:
    app = App.objects.filter(key=key).first()
    if app is None:
        raise NotFound("app_not_found", f"There is no app {key!r}.", field="app")
    return app


def _invoice_id(place: int) -> UUID:
    """The invoice at that place of the result; a draft can't be acted on, and it comes last."""
    invoices = invoices_in_order()
    if place > len(invoices):
        raise NotFound(
            "invoice_not_found",
            f"There is no invoice {place}, only {len(invoices)}.",
            field="invoice",
        )
    return invoices[place - 1]


def _money(amount: Any, currency: str) -> Money:
    """Raises Invalid `too_many_decimals` for a part of a minor unit, which nobody can pay."""
    money = round_amount(amount, currency)
    if money.amount != amount:
        raise Invalid(
            "too_many_decimals", f"amount has more decimals than {currency} has.", field="amount"
        )
    return money
