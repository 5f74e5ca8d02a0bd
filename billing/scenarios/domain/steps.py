"""What a story says (contract section 4): its steps as values. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeAlias

from billing.ledger.domain import BalanceKind
from billing.rating.adjustments.credits import CreditScope
from billing.subscriptions.domain import Anchor, AskedChange, EffectiveWhen, MigrationWhen
from kernel.errors import DomainError
from tenants.domain import TaxTreatment


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateTenant:
    tenant: str
    name: str
    apps: tuple[str, ...]
    timezone: str
    country: str = ""
    tax_id: str = ""
    tax_treatment: TaxTreatment = TaxTreatment.UNSAID
    tax_percent: Decimal | None = None
    consolidate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribe:
    """`starts_at` None: at the step's instant; `timezone` None: that of the tenant; `addons` are keys
    with how many of each."""

    tenant: str
    plan: str
    anchor: Anchor
    starts_at: datetime | None
    timezone: str | None
    quantities: Mapping[str, Decimal]
    addons: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetUsage:
    """`kind` is the canonical text of the dimensions that the value is for."""

    app: str
    meter: str
    day: date
    value: Decimal
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SendEvents:
    """`events` as CloudEvents, ready for ingest."""

    app: str
    events: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pay:
    """`amount` None: all that is still due. `invoice` counts from 1 in the order of the result."""

    invoice: int
    amount: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Which:
    """Which of a tenant's subscriptions is meant, where it has several that run.

    `number` counts the tenant's subscriptions from 1 as they were started, those that ended included;
    `plan` is what the meant one holds. Neither is needed for a tenant with one that runs.
    """

    number: int | None = None
    plan: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that is asked of a running subscription of the tenant."""

    tenant: str
    asked: AskedChange
    which: Which


@dataclass(frozen=True, slots=True, kw_only=True)
class RedeemCoupon:
    """A coupon for a running subscription of the tenant. Unlike a `Change` it may come together with the
    start: what is due at its instant is billed after it."""

    tenant: str
    asked: AskedChange
    which: Which


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreeDiscount:
    """A discount without a coupon; `document` as `billing.discounts.coupon_file` reads it."""

    tenant: str
    document: Mapping[str, Any]
    when: EffectiveWhen
    which: Which


@dataclass(frozen=True, slots=True, kw_only=True)
class EndDiscount:
    """`number` counts the subscription's discounts from 1."""

    tenant: str
    number: int
    which: Which


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlans:
    """Plans, or new versions of them, that come into the catalogue later."""

    plans: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Migrate:
    """Subscriptions of one version of a plan that are moved to another version of it or of `to_plan`.

    Of `tenants` only, unless that is empty.
    """

    plan: str
    from_number: int
    to_plan: str
    to_number: int
    when: MigrationWhen
    tenants: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    tenant: str
    kind: BalanceKind
    amount: Decimal
    expires_at: datetime | None
    priority: int
    scope: CreditScope


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit:
    """A credit note; `lines` are (place, amount), places count from 1."""

    invoice: int
    lines: tuple[tuple[int, Decimal], ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance:
    """Let time pass; what is due on the way happens."""


Action: TypeAlias = (
    CreateTenant
    | Subscribe
    | SetUsage
    | SendEvents
    | Change
    | RedeemCoupon
    | AgreeDiscount
    | EndDiscount
    | LoadPlans
    | Migrate
    | Grant
    | Pay
    | Credit
    | Advance
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What happens at an instant. `index` is its place in the file, from 0."""

    index: int
    at: datetime
    action: Action


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A checked story; `steps` in the order in which they happen.

    `plan_defaults` are what plans have that don't say it themselves.
    """

    currency: str
    plan_defaults: Mapping[str, str]
    plans: tuple[Mapping[str, Any], ...]
    taxes: tuple[Mapping[str, Any], ...]
    coupons: tuple[Mapping[str, Any], ...]
    seller: Mapping[str, str]
    steps: tuple[Step, ...]


class StepFault(DomainError):
    """A step that can't be done. `step` is its place in the file, None for the file itself."""

    def __init__(self, cause: DomainError, *, step: int | None) -> None:
        super().__init__(cause.code, cause.message, field=cause.field, params=cause.params)
        self.step = step
        self.cause = cause
