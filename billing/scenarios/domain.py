"""What a story says (contract section 4): its steps as values, checked. Pure."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, TypeAlias

from billing.ledger.domain import BalanceKind
from billing.rating.adjustments.credits import CreditScope, read_scope
from billing.subscriptions.domain import Anchor, AskedChange, ChangeKind, EffectiveWhen
from kernel.currencies import exponent
from kernel.decimals import parse_decimal
from kernel.dimensions import DIMENSIONS, canonical_dimensions, is_dimension_value
from kernel.errors import DomainError, Invalid
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
class Change:
    """Something that is asked of the tenant's running subscription."""

    tenant: str
    asked: AskedChange


@dataclass(frozen=True, slots=True, kw_only=True)
class RedeemCoupon:
    """A coupon for the tenant's running subscription. Unlike a `Change` it may come together with the
    start: what is due at its instant is billed after it."""

    tenant: str
    asked: AskedChange


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreeDiscount:
    """A discount without a coupon; `document` as `billing.discounts.coupon_file` reads it."""

    tenant: str
    document: Mapping[str, Any]
    when: EffectiveWhen


@dataclass(frozen=True, slots=True, kw_only=True)
class EndDiscount:
    """`number` counts the tenant's discounts from 1."""

    tenant: str
    number: int


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
    when: EffectiveWhen
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


_SELLER: Final = ("country", "tax_rounding", "tax_category")
_REMARKS: Final = frozenset({"id", "name", "comment", "description", "note", "reason"})
"""What a step may say to its reader and no one acts on."""
_CAN_T_BE_STORED: Final = re.compile("[\x00\ud800-\udfff]")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
LONGEST: Final = timedelta(days=50 * 365)
"""From a story's first step to its last: every month in between is billed for every tenant."""
_DATA: Final = ("user", "device", "count", "value", *DIMENSIONS)
"""What an event of a story may tell beside its data's place."""

_YEARS: Final = range(1901, 2999)
"""Those in which periods are reckoned (`kernel.period`), less one at each end for other zones."""


def read_story(document: object) -> Story:
    """The story that decoded JSON tells; steps sorted by instant, stable.

    The story's `grace` and `currency` hold for plans that say nothing of their own, its `timezone`
    for tenants. Its `taxes` are all the dated rates that there are, its `coupons` all that may be redeemed;
    its `seller` says of the seller what it wants (`country`, `tax_rounding`, `tax_category`). Raises StepFault.
    """
    if not isinstance(document, Mapping):
        raise StepFault(
            Invalid("not_a_story", "A story is a JSON object with plans and steps."), step=None
        )
    try:
        currency = _text(document, "currency", default="CNY")
        exponent(currency)
        timezone = _text(document, "timezone", default="UTC")
        defaults = {"currency": currency}
        if document.get("grace") is not None:
            defaults["grace"] = _text(document, "grace")
        plans = tuple({**defaults, **each} for each in _objects(document, "plans"))
        taxes = tuple(_objects(document, "taxes")) if document.get("taxes") else ()
        coupons = tuple(_objects(document, "coupons")) if document.get("coupons") else ()
        seller = _seller(document)
        written = _objects(document, "steps")
    except Invalid as fault:
        raise StepFault(fault, step=None) from None
    steps = []
    for index, step in enumerate(written):
        try:
            steps.append(_step(index, step, timezone=timezone))
        except Invalid as fault:
            raise StepFault(fault, step=index) from None
    steps.sort(key=lambda step: step.at)
    if steps and steps[-1].at - steps[0].at > LONGEST:
        raise StepFault(
            Invalid(
                "story_too_long",
                f"The story spans over {LONGEST.days // 365} years; check the year of this step.",
                field="at",
            ),
            step=steps[-1].index,
        )
    return Story(
        currency=currency,
        plan_defaults=defaults,
        plans=plans,
        taxes=taxes,
        coupons=coupons,
        seller=seller,
        steps=tuple(steps),
    )


def _seller(document: Mapping[str, Any]) -> Mapping[str, str]:
    told = document.get("seller") or {}
    if not isinstance(told, Mapping):
        raise Invalid("not_an_object", _ask("seller", "an object"), field="seller")
    unknown = sorted(set(map(str, told)) - set(_SELLER))
    if unknown:
        raise Invalid(
            "unknown_field",
            f"seller.{unknown[0][:40]} is not known; known are {', '.join(_SELLER)}.",
            field="seller",
        )
    return {name: _text(told, name) for name in told}


def _step(index: int, step: Mapping[str, Any], *, timezone: str) -> Step:
    do = _text(step, "do")
    reader = _ACTIONS.get(do)
    if reader is None:
        raise Invalid(
            "unknown_step",
            f"do {do[:40]!r} is no step; known are {', '.join(_ACTIONS)}.",
            field="do",
        )
    for name, value in step.items():
        if not _can_be_stored([name, value]):
            raise Invalid(
                "not_a_text",
                "A text of this step holds a null character or half of a character; write it anew.",
                field=ascii(name)[1:-1][:40],
            )
    fields = _Fields(step)
    action = reader(fields, timezone)
    at = _instant(fields, "to" if do == "advance" else "at")
    unread = fields.unread - _REMARKS - {"do"}
    if unread:
        name = min(unread)
        raise Invalid(
            "unknown_field",
            f"{name[:40]!r} is not a field of {do}; remove it or correct its name.",
            field=name[:40],
        )
    return Step(index=index, at=at, action=action)


def _can_be_stored(value: object) -> bool:
    """Whether the database takes every text in it."""
    open_values = [value]
    while open_values:
        match open_values.pop():
            case str() as text:
                if _CAN_T_BE_STORED.search(text):
                    return False
            case list() as values:
                open_values.extend(values)
            case Mapping() as values:
                open_values.extend([*values, *values.values()])
    return True


class _Fields(Mapping[str, Any]):
    """The fields of a step, and which of them nobody has asked for yet."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        self.unread = set(map(str, values))

    def __getitem__(self, name: str) -> Any:
        self.unread.discard(name)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def _create_tenant(step: Mapping[str, Any], timezone: str) -> Action:
    apps = step.get("apps") or []
    if not isinstance(apps, list) or not all(isinstance(app, str) for app in apps):
        raise Invalid("not_a_list", "apps must be a list of app keys.", field="apps")
    tenant = _text(step, "tenant")
    return CreateTenant(
        tenant=tenant,
        name=_text(step, "name", default=tenant),
        apps=tuple(apps),
        timezone=_text(step, "timezone", default=timezone),
        country=_text(step, "country", default="") if step.get("country") else "",
        tax_id=_text(step, "tax_id", default="") if step.get("tax_id") else "",
        tax_treatment=TaxTreatment(
            _choice(step, "tax_treatment", [each.value for each in TaxTreatment if each])
            if step.get("tax_treatment")
            else ""
        ),
        tax_percent=_decimal(step, "tax_percent") if step.get("tax_percent") is not None else None,
    )


def _subscribe(step: Mapping[str, Any], _: str) -> Action:
    return Subscribe(
        tenant=_text(step, "tenant"),
        plan=_text(step, "plan"),
        anchor=Anchor(_choice(step, "anchor", [a.value for a in Anchor], default="calendar")),
        starts_at=None if step.get("starts_at") is None else _instant(step, "starts_at"),
        timezone=None if step.get("timezone") is None else _text(step, "timezone"),
        quantities=_quantities(step, "quantities"),
        addons=_addons(step),
    )


def _quantities(step: Mapping[str, Any], name: str) -> Mapping[str, Decimal]:
    value = step.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise Invalid("not_an_object", _ask(name, 'an object such as {"seats": "5"}'), field=name)
    return {str(key): parse_decimal(each, field=f"{name}.{key}") for key, each in value.items()}


def _addons(step: Mapping[str, Any]) -> Mapping[str, Decimal]:
    """A list of keys, or an object that tells how many of each."""
    value = step.get("addons")
    if not isinstance(value, list):
        return _quantities(step, "addons")
    if not all(isinstance(key, str) for key in value):
        raise Invalid("not_a_list", "addons must be a list of keys.", field="addons")
    found: dict[str, Decimal] = {}
    for key in value:
        found[key] = found.get(key, Decimal(0)) + 1
    return found


def _usage(step: Mapping[str, Any], _: str) -> Action:
    return SetUsage(
        app=_text(step, "app"),
        meter=_text(step, "meter"),
        day=_day(step, "day"),
        value=_decimal(step, "value"),
        kind=canonical_dimensions({name: _property(step, name) for name in DIMENSIONS}),
    )


def _events(step: Mapping[str, Any], _: str) -> Action:
    app = _text(step, "app")
    return SendEvents(
        app=app, events=tuple(_cloud_event(app, event) for event in _objects(step, "events"))
    )


def _property(step: Mapping[str, Any], name: str) -> str:
    value = _text(step, name, default="")
    if value and not is_dimension_value(value):
        raise Invalid(
            f"bad_{name}", _ask(name, "letters, digits, '.', '_', ':' and '-' only"), field=name
        )
    return value


def _cloud_event(app: str, event: Mapping[str, Any]) -> Mapping[str, Any]:
    data = event.get("data")
    if data is None:
        data = {name: event[name] for name in _DATA if name in event}
    return {
        "specversion": "1.0",
        "id": event.get("id"),
        "source": event.get("source", "scenario"),
        "type": event.get("type", "message.sent"),
        "subject": app,
        "time": event.get("time"),
        "data": data,
    }


def _pay(step: Mapping[str, Any], _: str) -> Action:
    amount = None if step.get("amount", "full") == "full" else _decimal(step, "amount")
    return Pay(invoice=_place(step, "invoice"), amount=amount)


def _change(kind: ChangeKind) -> Callable[[Mapping[str, Any], str], Action]:
    def read(step: Mapping[str, Any], _: str) -> Action:
        is_of_price = kind in {ChangeKind.QUANTITY, ChangeKind.ADD, ChangeKind.REMOVE}
        asks_quantity = kind is ChangeKind.QUANTITY or step.get("quantity") is not None
        name = "price" if kind is ChangeKind.QUANTITY or "price" in step else "addon"
        return Change(
            tenant=_text(step, "tenant"),
            asked=AskedChange(
                kind=kind,
                when=_when(step),
                plan=_text(step, "plan") if kind is ChangeKind.PLAN else "",
                price=_text(step, name) if is_of_price else "",
                quantity=_decimal(step, "quantity") if is_of_price and asks_quantity else None,
            ),
        )

    return read


def _coupon(step: Mapping[str, Any], _: str) -> Action:
    return RedeemCoupon(
        tenant=_text(step, "tenant"),
        asked=AskedChange(kind=ChangeKind.COUPON, when=_when(step), coupon=_text(step, "coupon")),
    )


_OF_DISCOUNTS: Final = ("name", "type", "value", "currency", "prices", "plans", "periods")


def _discount(step: Mapping[str, Any], _: str) -> Action:
    document = {name: step[name] for name in _OF_DISCOUNTS if name in step}
    return AgreeDiscount(
        tenant=_text(step, "tenant"),
        document={"name": "Discount", **document},
        when=_when(step),
    )


def _end_discount(step: Mapping[str, Any], _: str) -> Action:
    return EndDiscount(tenant=_text(step, "tenant"), number=_place(step, "discount"))


def _migrate(step: Mapping[str, Any], _: str) -> Action:
    tenants = step.get("tenants") or []
    if not isinstance(tenants, list) or not all(isinstance(key, str) for key in tenants):
        raise Invalid("not_a_list", "tenants must be a list of tenant keys.", field="tenants")
    return Migrate(
        plan=_text(step, "plan"),
        from_number=_place(step, "from"),
        to_plan=_text(step, "to_plan", default=_text(step, "plan")),
        to_number=_place(step, "to"),
        when=EffectiveWhen(_choice(step, "when", list(EffectiveWhen), default="period_end")),
        tenants=tuple(tenants),
    )


def _when(step: Mapping[str, Any]) -> EffectiveWhen:
    return EffectiveWhen(_choice(step, "when", list(EffectiveWhen), default="now"))


def _grant(step: Mapping[str, Any], _: str) -> Action:
    expires = step.get("expires_at")
    return Grant(
        tenant=_text(step, "tenant"),
        kind=BalanceKind(_choice(step, "kind", ["cash", "gift", "voucher"])),
        amount=_decimal(step, "amount"),
        expires_at=None if expires is None else _instant(step, "expires_at"),
        priority=_whole(step, "priority", default=0),
        scope=read_scope(step.get("scope")),
    )


def _credit_note(step: Mapping[str, Any], _: str) -> Action:
    return Credit(
        invoice=_place(step, "invoice"),
        lines=tuple(
            (_place(line, "line"), _decimal(line, "amount")) for line in _objects(step, "lines")
        ),
        reason=_text(step, "reason", default=""),
    )


def _advance(step: Mapping[str, Any], _: str) -> Action:
    step.get("at")  # when it was asked; where it leads to is what counts
    return Advance()


_ACTIONS: Mapping[str, Callable[[Mapping[str, Any], str], Action]] = {
    "create_tenant": _create_tenant,
    "subscribe": _subscribe,
    "usage": _usage,
    "events": _events,
    **{kind.value: _change(kind) for kind in ChangeKind},
    ChangeKind.COUPON.value: _coupon,
    "discount": _discount,
    "end_discount": _end_discount,
    "load_plans": lambda step, _: LoadPlans(plans=tuple(_objects(step, "plans"))),
    "migrate": _migrate,
    "grant": _grant,
    "pay": _pay,
    "credit_note": _credit_note,
    "advance": _advance,
}


def _text(values: Mapping[str, Any], name: str, *, default: str | None = None) -> str:
    value = values.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str) or not value:
        raise Invalid(
            "missing" if value is None else "not_a_text", _ask(name, "a text"), field=name
        )
    return value


def _choice(
    values: Mapping[str, Any], name: str, known: Sequence[str], *, default: str | None = None
) -> str:
    value = _text(values, name, default=default)
    if value not in known:
        raise Invalid(f"unknown_{name}", _ask(name, f"one of {', '.join(known)}"), field=name)
    return value


def _decimal(values: Mapping[str, Any], name: str) -> Decimal:
    if name not in values:
        raise Invalid("missing", _ask(name, "a decimal in a text"), field=name)
    return parse_decimal(values[name], field=name)


def _place(values: Mapping[str, Any], name: str) -> int:
    value = values.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise Invalid("not_a_place", _ask(name, "a whole number from 1"), field=name)
    return value


def _whole(values: Mapping[str, Any], name: str, *, default: int) -> int:
    value = values.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Invalid("not_whole", _ask(name, "a whole number"), field=name)
    return value


def _instant(values: Mapping[str, Any], name: str) -> datetime:
    text = _text(values, name)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise Invalid(
            "not_an_instant",
            _ask(name, "an instant with an offset, such as 2026-03-01T00:00:00+08:00"),
            field=name,
        )
    _check_year(instant.year, name)
    return instant


def _day(values: Mapping[str, Any], name: str) -> date:
    text = _text(values, name)
    try:
        day = date.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None:
        raise Invalid("not_a_date", _ask(name, "a date such as 2026-03-01"), field=name)
    _check_year(day.year, name)
    return day


def _check_year(year: int, name: str) -> None:
    if year not in _YEARS:
        raise Invalid(
            "date_out_of_range",
            f"{name} is not in the years {_YEARS[0]} to {_YEARS[-1]}; check it.",
            field=name,
        )


def _objects(values: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = values.get(name)
    if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
        raise Invalid("not_a_list", _ask(name, "a list of objects"), field=name)
    return value


def _ask(name: str, what: str) -> str:
    return f"{name} is missing or of another form; write {what}."
