"""Reading one price of a plan document."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Protocol

from billing.catalog.domain.charges import charge_document, read_charge
from billing.catalog.domain.entitlements import entitlements_document, read_entitlements
from billing.catalog.domain.faults import PlanFaults
from billing.catalog.domain.fields import Faults, Fields, is_plain_text
from billing.catalog.domain.taxes import read_tax, tax_document
from billing.rating.aggregations import (
    AnyPeriodAggregation,
    EventPeriodAggregation,
    PeriodAggregation,
)
from billing.rating.conversion import Conversion, ConversionRounding
from billing.rating.terms import Metering, PriceTerms, Scope, Stacking, Timing, ZeroUsage
from kernel.decimals import plain_text
from kernel.dimensions import DIMENSIONS

_ZERO = Decimal(0)
_ONLY_WITH_METER = ("scope", "period_aggregation", "k", "filter")
_HIGHEST_K = 366


class MeterFacts(Protocol):
    """What a price must fit of the meter that it names."""

    @property
    def dimensions(self) -> frozenset[str]:
        """The properties by which the daily value is kept, so that a filter may name them."""

    @property
    def counts_users(self) -> bool: ...

    @property
    def holds_level(self) -> bool:
        """Whether a value is in force until the next one."""


KnownMeters = Mapping[str, MeterFacts] | Collection[str]
"""The meters that a price may name; with their keys alone, what they are is not checked."""


def parse_price(document: object, *, path: str = "price") -> PriceTerms:
    """The terms of a price that stands alone, as the calculator takes it.

    It needs neither key nor meter; a meter's name is not checked. Raises PlanFaults.
    """
    faults = Faults()
    terms = read_price(
        Fields(document, path=path, faults=faults), known_meters=None, default_key="price"
    )
    if faults.found:
        raise PlanFaults(faults.found)
    return terms


def parse_plan_price(
    document: object, *, known_meters: KnownMeters | None, path: str = "price"
) -> PriceTerms:
    """The terms of one price as a plan holds it, by the rules of a whole plan: with a key, and
    with a known meter where it has one. Raises PlanFaults."""
    faults = Faults()
    terms = read_price(Fields(document, path=path, faults=faults), known_meters=known_meters)
    if faults.found:
        raise PlanFaults(faults.found)
    return terms


def read_price(
    fields: Fields, *, known_meters: KnownMeters | None, default_key: str | None = None
) -> PriceTerms:
    """The terms of one price. With `known_meters` None any meter is taken, and how the days of a
    period become the quantity may be left out. With a `default_key` the price stands alone, and
    the quantity that it is asked for was counted already."""
    key = fields.key("key", default=default_key)
    charge = read_charge(fields)
    metering = _read_metering(fields, known_meters=known_meters, is_counted=default_key is not None)
    is_metered = fields.has("meter")
    timing = fields.choice(
        "timing", Timing, default=Timing.IN_ARREARS if is_metered else Timing.IN_ADVANCE
    )
    if is_metered and timing is Timing.IN_ADVANCE:
        fields.fault(
            "timing",
            "metered_in_advance",
            "is in_advance, but usage is known only in arrears; write in_arrears.",
        )
    minimum = fields.optional_figure("minimum")
    maximum = fields.optional_figure("maximum")
    refuse_minimum_above_maximum(fields, minimum, maximum)
    addon = fields.flag("addon", default=False)
    group = fields.text("group") if fields.has("group") else ""
    for name in ("stacking", "group"):
        if not addon:
            fields.refuse(
                name, "needs_addon", "says how add-ons go together; write addon or remove it."
            )
    if is_metered and not addon:
        fields.refuse(
            "entitlements",
            "needs_held",
            "says what holding the price allows, but this one is priced by usage and not held; write "
            "them at the plan.",
        )
    terms = PriceTerms(
        key=key,
        charge=charge,
        timing=timing,
        metering=metering,
        conversion=_read_conversion(fields),
        included=fields.figure("included", default=_ZERO),
        zero_usage=fields.choice("zero_usage", ZeroUsage, default=ZeroUsage.CHARGE),
        minimum=minimum,
        maximum=maximum,
        prorate=fields.flag("prorate", default=False),
        addon=addon,
        stacking=fields.choice(
            "stacking", Stacking, default=Stacking.REPLACE if group else Stacking.ADD
        ),
        group=group,
        tax=read_tax(fields),
        entitlements=read_entitlements(fields, of_price=True),
    )
    fields.refuse_unknown()
    return replace(terms, document=price_document(terms))


def price_document(terms: PriceTerms) -> dict[str, object]:
    """The price in the words of a plan document: figures as plain texts, defaults left out."""
    told: dict[str, object] = {"key": terms.key, **charge_document(terms.charge)}
    metering = terms.metering
    if metering is not None:
        told["meter"] = metering.meter
        told["period_aggregation"] = metering.period_aggregation.value
        if metering.period_aggregation is PeriodAggregation.KTH_MAX_DAY:
            told["k"] = metering.k
        if metering.scope is not Scope.APP:
            told["scope"] = metering.scope.value
        if metering.filter:
            told["filter"] = {name: list(values) for name, values in metering.filter}
    elif terms.timing is not Timing.IN_ADVANCE:
        told["timing"] = terms.timing.value
    if terms.conversion is not None:
        told["convert"] = _conversion_document(terms.conversion)
    if terms.included:
        told["included"] = plain_text(terms.included)
    if terms.zero_usage is not ZeroUsage.CHARGE:
        told["zero_usage"] = terms.zero_usage.value
    if terms.minimum is not None:
        told["minimum"] = plain_text(terms.minimum)
    if terms.maximum is not None:
        told["maximum"] = plain_text(terms.maximum)
    if terms.prorate:
        told["prorate"] = True
    if terms.addon:
        told["addon"] = True
    if terms.group:
        told["group"] = terms.group
    if terms.stacking is not (Stacking.REPLACE if terms.group else Stacking.ADD):
        told["stacking"] = terms.stacking.value
    told.update(tax_document(terms.tax))
    if terms.entitlements:
        told["entitlements"] = entitlements_document(terms.entitlements)
    return told


def refuse_minimum_above_maximum(
    fields: Fields, minimum: Decimal | None, maximum: Decimal | None
) -> None:
    """Fault `minimum_above_maximum`."""
    if minimum is not None and maximum is not None and minimum > maximum:
        fields.fault(
            "minimum",
            "minimum_above_maximum",
            f"is above the maximum of {maximum:f}; lower it or raise the maximum.",
        )


def _read_metering(
    fields: Fields, *, known_meters: KnownMeters | None, is_counted: bool
) -> Metering | None:
    if not fields.has("meter"):
        for name in _ONLY_WITH_METER:
            if known_meters is None:
                fields.has(name)
            else:
                fields.refuse(
                    name, "needs_meter", "says how usage is counted; give a meter or remove it."
                )
        return None
    meter = fields.text("meter")
    if known_meters is not None and meter and meter not in known_meters:
        names = ", ".join(sorted(known_meters))
        fields.fault("meter", "unknown_meter", f"is not a known meter; write one of {names}.")
    aggregation = _read_aggregation(fields, is_required=known_meters is not None)
    k = 1
    if aggregation is PeriodAggregation.KTH_MAX_DAY:
        k = fields.whole_number("k", default=None, lowest=1, highest=_HIGHEST_K)
    else:
        fields.refuse("k", "needs_kth_max_day", "belongs to kth_max_day; remove it.")
    facts = known_meters.get(meter) if isinstance(known_meters, Mapping) else None
    if (
        facts is not None
        and not facts.counts_users
        and aggregation is EventPeriodAggregation.DISTINCT
    ):
        fields.fault(
            "period_aggregation",
            "unsupported_aggregation",
            f"is distinct, but {meter} counts no users; use one of {', '.join(PeriodAggregation)}.",
        )
    return Metering(
        meter=meter,
        period_aggregation=aggregation,
        scope=fields.choice("scope", Scope, default=Scope.APP),
        k=k,
        filter=()
        if is_counted and fields.has("filter")
        else _read_filter(fields, meter=meter, facts=facts),
        holds_level=facts is not None and facts.holds_level,
    )


def _read_aggregation(fields: Fields, *, is_required: bool) -> AnyPeriodAggregation:
    written = fields.raw("period_aggregation")
    for known in EventPeriodAggregation:
        if written == known:
            return known
    return fields.choice(
        "period_aggregation",
        PeriodAggregation,
        default=None if is_required else PeriodAggregation.SUM,
        code="unknown_aggregation",
    )


def _read_filter(
    fields: Fields, *, meter: str, facts: MeterFacts | None
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What a filter lets through: {"kind": "single", "region": ["eu", "us"]}; all must match."""
    if not fields.has("filter"):
        return ()
    filtered = fields.nested("filter")
    if not filtered.is_object:
        return ()
    kept = [name for name in DIMENSIONS if facts is None or name in facts.dimensions]
    if not kept:
        fields.fault(
            "filter",
            "unsupported_filter",
            f"can't be told for {meter}, which is kept by no property: who is counted under one "
            "value may be counted under another; remove it, or define a meter that counts only such "
            "events.",
        )
        return ()
    found: dict[str, tuple[str, ...]] = {}
    for name in filtered.names():
        if name in kept:
            found[name] = _read_values(filtered, name)
        else:
            filtered.fault(
                name[:40],
                "unknown_field",
                f"is not a property that {meter or 'the meter'} is kept by; "
                f"write one of {', '.join(kept)}.",
            )
    filtered.refuse_unknown()
    if not filtered.names():
        fields.fault(
            "filter", "missing", f"names no property; write one of {', '.join(kept)} or remove it."
        )
    return tuple(sorted(found.items()))


def _read_values(filtered: Fields, name: str) -> tuple[str, ...]:
    values: list[str] = []
    if isinstance(filtered.raw(name), list | tuple):
        for path, value in filtered.entries(name):
            if isinstance(value, str) and is_plain_text(value):
                values.append(value)
            else:
                place = path.removeprefix(f"{filtered.path}.")
                filtered.fault(place, "not_a_text", f"is not a text; write a {name}.")
    elif filtered.has(name):
        values.append(filtered.text(name))
    else:
        filtered.missing(name)
    return tuple(sorted(set(values)))


def _read_conversion(fields: Fields) -> Conversion | None:
    if not fields.has("convert"):
        return None
    convert = fields.nested("convert")
    divide_by = convert.figure("divide_by", above_zero=True)
    rounding = convert.choice("rounding", ConversionRounding, default=ConversionRounding.NONE)
    decimals = convert.whole_number("decimals", default=0, lowest=0, highest=12)
    convert.refuse_unknown()
    # Without rounding the decimals say nothing; the same terms shall be equal.
    is_rounded = rounding is not ConversionRounding.NONE
    return Conversion(
        divide_by=divide_by, rounding=rounding, decimals=decimals if is_rounded else 0
    )


def _conversion_document(conversion: Conversion) -> Mapping[str, object]:
    told: dict[str, object] = {"divide_by": plain_text(conversion.divide_by)}
    if conversion.rounding is not ConversionRounding.NONE:
        told["rounding"] = conversion.rounding.value
    if conversion.decimals:
        told["decimals"] = conversion.decimals
    return told
