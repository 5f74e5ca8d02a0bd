"""A story read from decoded JSON, checked. Pure."""

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from billing.ledger.domain import BalanceKind
from billing.rating.adjustments.credits import read_scope
from billing.scenarios.domain import fields
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
    Step,
    StepFault,
    Story,
    Subscribe,
    Which,
)
from billing.subscriptions.domain import (
    Anchor,
    AskedChange,
    ChangeKind,
    EffectiveWhen,
    MigrationWhen,
)
from kernel.currencies import exponent
from kernel.decimals import parse_decimal
from kernel.dimensions import DIMENSIONS, canonical_dimensions, is_dimension_value
from kernel.errors import Invalid
from tenants.domain import TaxTreatment

_SELLER: Final = ("country", "tax_rounding", "tax_category")


_REMARKS: Final = frozenset({"id", "name", "comment", "description", "note", "reason"})
"""What a step may say to its reader and no one acts on."""


_CAN_T_BE_STORED: Final = re.compile("[\x00\ud800-\udfff]")


LONGEST: Final = timedelta(days=50 * 365)
"""From a story's first step to its last: every month in between is billed for every tenant."""


_DATA: Final = ("user", "device", "count", "value", *DIMENSIONS)
"""What an event of a story may tell beside its data's place."""


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
        currency = fields.text(document, "currency", default="CNY")
        exponent(currency)
        timezone = fields.text(document, "timezone", default="UTC")
        defaults = {"currency": currency}
        if document.get("grace") is not None:
            defaults["grace"] = fields.text(document, "grace")
        plans = tuple({**defaults, **each} for each in fields.objects(document, "plans"))
        taxes = tuple(fields.objects(document, "taxes")) if document.get("taxes") else ()
        coupons = tuple(fields.objects(document, "coupons")) if document.get("coupons") else ()
        seller = _seller(document)
        written = fields.objects(document, "steps")
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
        raise Invalid("not_an_object", fields.ask("seller", "an object"), field="seller")
    unknown = sorted(set(map(str, told)) - set(_SELLER))
    if unknown:
        raise Invalid(
            "unknown_field",
            f"seller.{unknown[0][:40]} is not known; known are {', '.join(_SELLER)}.",
            field="seller",
        )
    return {name: fields.text(told, name) for name in told}


def _step(index: int, step: Mapping[str, Any], *, timezone: str) -> Step:
    do = fields.text(step, "do")
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
    told = fields.Fields(step)
    action = reader(told, timezone)
    at = fields.instant(told, "to" if do == "advance" else "at")
    unread = told.unread - _REMARKS - {"do"}
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


def _create_tenant(step: Mapping[str, Any], timezone: str) -> Action:
    apps = step.get("apps") or []
    consolidate = step.get("consolidate", False)
    if not isinstance(consolidate, bool):
        raise Invalid("not_a_flag", "consolidate must be true or false.", field="consolidate")
    if not isinstance(apps, list) or not all(isinstance(app, str) for app in apps):
        raise Invalid("not_a_list", "apps must be a list of app keys.", field="apps")
    tenant = fields.text(step, "tenant")
    return CreateTenant(
        tenant=tenant,
        name=fields.text(step, "name", default=tenant),
        apps=tuple(apps),
        timezone=fields.text(step, "timezone", default=timezone),
        country=fields.text(step, "country", default="") if step.get("country") else "",
        tax_id=fields.text(step, "tax_id", default="") if step.get("tax_id") else "",
        tax_treatment=TaxTreatment(
            fields.choice(step, "tax_treatment", [each.value for each in TaxTreatment if each])
            if step.get("tax_treatment")
            else ""
        ),
        tax_percent=fields.decimal(step, "tax_percent")
        if step.get("tax_percent") is not None
        else None,
        consolidate=consolidate,
    )


def _subscribe(step: Mapping[str, Any], _: str) -> Action:
    return Subscribe(
        tenant=fields.text(step, "tenant"),
        plan=fields.text(step, "plan"),
        anchor=Anchor(fields.choice(step, "anchor", [a.value for a in Anchor], default="calendar")),
        starts_at=None if step.get("starts_at") is None else fields.instant(step, "starts_at"),
        timezone=None if step.get("timezone") is None else fields.text(step, "timezone"),
        quantities=_quantities(step, "quantities"),
        addons=_addons(step),
    )


def _quantities(step: Mapping[str, Any], name: str) -> Mapping[str, Decimal]:
    value = step.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise Invalid(
            "not_an_object", fields.ask(name, 'an object such as {"seats": "5"}'), field=name
        )
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
        app=fields.text(step, "app"),
        meter=fields.text(step, "meter"),
        day=fields.day(step, "day"),
        value=fields.decimal(step, "value"),
        kind=canonical_dimensions({name: _property(step, name) for name in DIMENSIONS}),
    )


def _events(step: Mapping[str, Any], _: str) -> Action:
    app = fields.text(step, "app")
    return SendEvents(
        app=app, events=tuple(_cloud_event(app, event) for event in fields.objects(step, "events"))
    )


def _property(step: Mapping[str, Any], name: str) -> str:
    value = fields.text(step, name, default="")
    if value and not is_dimension_value(value):
        raise Invalid(
            f"bad_{name}",
            fields.ask(name, "letters, digits, '.', '_', ':' and '-' only"),
            field=name,
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
    amount = None if step.get("amount", "full") == "full" else fields.decimal(step, "amount")
    return Pay(invoice=fields.place(step, "invoice"), amount=amount)


def _change(kind: ChangeKind) -> Callable[[Mapping[str, Any], str], Action]:
    def read(step: Mapping[str, Any], _: str) -> Action:
        is_of_price = kind in {ChangeKind.QUANTITY, ChangeKind.ADD, ChangeKind.REMOVE}
        asks_quantity = kind is ChangeKind.QUANTITY or step.get("quantity") is not None
        name = "price" if kind is ChangeKind.QUANTITY or "price" in step else "addon"
        return Change(
            tenant=fields.text(step, "tenant"),
            asked=AskedChange(
                kind=kind,
                when=_when(step),
                plan=fields.text(step, "plan") if kind is ChangeKind.PLAN else "",
                price=fields.text(step, name) if is_of_price else "",
                quantity=fields.decimal(step, "quantity")
                if is_of_price and asks_quantity
                else None,
            ),
            which=_which(step),
        )

    return read


def _coupon(step: Mapping[str, Any], _: str) -> Action:
    return RedeemCoupon(
        tenant=fields.text(step, "tenant"),
        asked=AskedChange(
            kind=ChangeKind.COUPON, when=_when(step), coupon=fields.text(step, "coupon")
        ),
        which=_which(step),
    )


_OF_DISCOUNTS: Final = ("name", "type", "value", "currency", "prices", "plans", "periods")


def _discount(step: Mapping[str, Any], _: str) -> Action:
    document = {name: step[name] for name in _OF_DISCOUNTS if name in step}
    return AgreeDiscount(
        tenant=fields.text(step, "tenant"),
        document={"name": "Discount", **document},
        when=_when(step),
        which=_which(step),
    )


def _end_discount(step: Mapping[str, Any], _: str) -> Action:
    return EndDiscount(
        tenant=fields.text(step, "tenant"),
        number=fields.place(step, "discount"),
        which=_which(step),
    )


def _migrate(step: Mapping[str, Any], _: str) -> Action:
    tenants = step.get("tenants") or []
    if not isinstance(tenants, list) or not all(isinstance(key, str) for key in tenants):
        raise Invalid("not_a_list", "tenants must be a list of tenant keys.", field="tenants")
    return Migrate(
        plan=fields.text(step, "plan"),
        from_number=fields.place(step, "from"),
        to_plan=fields.text(step, "to_plan", default=fields.text(step, "plan")),
        to_number=fields.place(step, "to"),
        when=MigrationWhen(fields.choice(step, "when", list(MigrationWhen), default="period_end")),
        tenants=tuple(tenants),
    )


def _which(step: Mapping[str, Any]) -> Which:
    return Which(
        number=None if step.get("subscription") is None else fields.place(step, "subscription"),
        plan=fields.text(step, "plan_from", default=""),
    )


def _when(step: Mapping[str, Any]) -> EffectiveWhen:
    return EffectiveWhen(fields.choice(step, "when", list(EffectiveWhen), default="now"))


def _grant(step: Mapping[str, Any], _: str) -> Action:
    expires = step.get("expires_at")
    return Grant(
        tenant=fields.text(step, "tenant"),
        kind=BalanceKind(fields.choice(step, "kind", ["cash", "gift", "voucher"])),
        amount=fields.decimal(step, "amount"),
        expires_at=None if expires is None else fields.instant(step, "expires_at"),
        priority=fields.whole(step, "priority", default=0),
        scope=read_scope(step.get("scope")),
    )


def _credit_note(step: Mapping[str, Any], _: str) -> Action:
    return Credit(
        invoice=fields.place(step, "invoice"),
        lines=tuple(
            (fields.place(line, "line"), fields.decimal(line, "amount"))
            for line in fields.objects(step, "lines")
        ),
        reason=fields.text(step, "reason", default=""),
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
    "load_plans": lambda step, _: LoadPlans(plans=tuple(fields.objects(step, "plans"))),
    "migrate": _migrate,
    "grant": _grant,
    "pay": _pay,
    "credit_note": _credit_note,
    "advance": _advance,
}
