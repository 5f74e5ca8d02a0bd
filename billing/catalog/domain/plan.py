"""Reading a whole plan document, and recognising one that was seen before."""

from dataclasses import replace

from billing.catalog.domain.entitlements import (
    entitlements_document,
    read_entitlements,
    refuse_mixed_entitlements,
)
from billing.catalog.domain.faults import PlanFaults
from billing.catalog.domain.fields import Faults, Fields
from billing.catalog.domain.price import (
    KnownMeters,
    price_document,
    read_price,
    refuse_minimum_above_maximum,
)
from billing.catalog.domain.taxes import read_tax, tax_document
from billing.rating.proration import DayCount
from billing.rating.terms import PlanTerms, PriceTerms, Timing
from kernel import canonical
from kernel.currencies import current_codes
from kernel.decimals import plain_text
from kernel.durations import duration_text
from kernel.period import Interval

_HIGHEST_INTERVAL_COUNT = 1000
_MOST_TRIAL_DAYS = 3660


def parse_plan(document: object, *, known_meters: KnownMeters | None) -> PlanTerms:
    """The terms of a plan document.

    With `known_meters` None the names of meters aren't checked; for documents that were checked
    when they were stored. Raises PlanFaults with every fault.
    """
    faults = Faults()
    fields = Fields(document, path="", faults=faults)
    terms = _read_plan(fields, known_meters=known_meters)
    if faults.found:
        raise PlanFaults(faults.found)
    canonical_form = _plan_document(terms)
    return replace(
        terms,
        document=canonical_form,
        content_hash=canonical.sha256_hex(canonical_form),
    )


def content_hash(document: object) -> bytes:
    """The SHA-256 of the plan's canonical form, 32 bytes: equal for documents that mean the same,
    whatever the order of keys, "5" or "5.00", and defaults written out or not.

    Raises PlanFaults.
    """
    return bytes.fromhex(parse_plan(document, known_meters=None).content_hash)


def _read_plan(fields: Fields, *, known_meters: KnownMeters | None) -> PlanTerms:
    key = fields.key("key")
    names = _read_names(fields)
    currency = _read_currency(fields)
    interval = fields.choice("interval", Interval, default=Interval.MONTH, code="unknown_interval")
    interval_count = fields.whole_number(
        "interval_count", default=1, lowest=1, highest=_HIGHEST_INTERVAL_COUNT
    )
    trial_days = fields.whole_number("trial_days", default=0, lowest=0, highest=_MOST_TRIAL_DAYS)
    effective_from = fields.day("effective_from")
    grace = fields.duration("grace")
    day_count = fields.choice("day_count", DayCount, default=DayCount.ACTUAL)
    is_private = fields.flag("private", default=False)
    entitlements = read_entitlements(fields)
    prices = _read_prices(fields, known_meters=known_meters)
    refuse_mixed_entitlements(fields, entitlements, prices)
    minimum = fields.optional_figure("minimum")
    maximum = fields.optional_figure("maximum")
    refuse_minimum_above_maximum(fields, minimum, maximum)
    max_of = _read_max_of(fields, prices)
    tax = read_tax(fields)
    fields.refuse_unknown()
    return PlanTerms(
        key=key,
        currency=currency,
        prices=_billed_together(fields, prices, max_of),
        names=names,
        interval=interval,
        interval_count=interval_count,
        trial_days=trial_days,
        effective_from=effective_from,
        grace=grace,
        day_count=day_count,
        minimum=minimum,
        maximum=maximum,
        max_of=max_of,
        entitlements=entitlements,
        is_private=is_private,
        tax=tax,
    )


def _read_names(fields: Fields) -> dict[str, str]:
    """{"en": "Pro", "zh-hans": "…"}, or one text, which counts as English."""
    if not fields.has("name"):
        return {}
    if isinstance(fields.raw("name"), str):
        return {"en": fields.text("name")}
    by_language = fields.nested("name")
    names = {language: by_language.text(language) for language in by_language.names()}
    by_language.refuse_unknown()
    return names


def _read_currency(fields: Fields) -> str:
    if not fields.has("currency"):
        fields.missing("currency")
        return ""
    currency = fields.raw("currency")
    if isinstance(currency, str) and currency in current_codes():
        return currency
    fields.fault(
        "currency",
        "unknown_currency",
        "is not the ISO 4217 code of a currency in use; write one such as CNY.",
    )
    return ""


def _read_prices(fields: Fields, *, known_meters: KnownMeters | None) -> tuple[PriceTerms, ...]:
    prices: list[PriceTerms] = []
    seen: set[str] = set()
    for price_fields in fields.items("prices"):
        price = read_price(price_fields, known_meters=known_meters)
        if price.key and price.key in seen:
            price_fields.fault(
                "key", "duplicate_key", f"is {price.key}, as of a price before; give it its own."
            )
        seen.add(price.key)
        prices.append(price)
    return tuple(prices)


def _read_max_of(fields: Fields, prices: tuple[PriceTerms, ...]) -> tuple[str, ...]:
    """The prices of which only the dearest is billed: at least two, each once."""
    if not fields.has("max_of"):
        return ()
    keys = {price.key for price in prices}
    chosen: list[str] = []
    for index, (_, value) in enumerate(fields.entries("max_of")):
        name = f"max_of[{index}]"
        if not isinstance(value, str) or value not in keys:
            fields.fault(name, "unknown_price", "is not the key of a price of this plan.")
        elif value in chosen:
            fields.fault(name, "duplicate_key", f"names {value} again; name each price once.")
        else:
            chosen.append(value)
    if len(chosen) == 1:
        fields.fault("max_of", "too_few", "names one price; name at least two, or none.")
    return tuple(chosen)


def _billed_together(
    fields: Fields, prices: tuple[PriceTerms, ...], max_of: tuple[str, ...]
) -> tuple[PriceTerms, ...]:
    """The prices, those of `max_of` at one time: which is the dearest is known when all are.

    Where one of them is billed in arrears, the others are too.
    """
    timings = {price.timing for price in prices if price.key in max_of}
    if timings != {Timing.IN_ADVANCE, Timing.IN_ARREARS}:
        return prices
    return tuple(_in_arrears(price) if price.key in max_of else price for price in prices)


def _in_arrears(price: PriceTerms) -> PriceTerms:
    late = replace(price, timing=Timing.IN_ARREARS)
    return replace(late, document=price_document(late))


def _plan_document(terms: PlanTerms) -> dict[str, object]:
    """The plan in canonical form: figures as plain texts, defaults left out.

    Leaving defaults out keeps the form, and so the hash, of stored plans when the vocabulary grows.
    """
    told: dict[str, object] = {"key": terms.key, "currency": terms.currency}
    if terms.names:
        told["name"] = dict(terms.names)
    if terms.interval is not Interval.MONTH:
        told["interval"] = terms.interval.value
    if terms.interval_count != 1:
        told["interval_count"] = terms.interval_count
    if terms.trial_days:
        told["trial_days"] = terms.trial_days
    if terms.effective_from is not None:
        told["effective_from"] = terms.effective_from.isoformat()
    if terms.grace is not None:
        told["grace"] = duration_text(terms.grace)
    if terms.day_count is not DayCount.ACTUAL:
        told["day_count"] = terms.day_count.value
    if terms.is_private:
        told["private"] = True
    if terms.entitlements:
        told["entitlements"] = entitlements_document(terms.entitlements)
    told["prices"] = [dict(price.document) for price in terms.prices]
    if terms.minimum is not None:
        told["minimum"] = plain_text(terms.minimum)
    if terms.maximum is not None:
        told["maximum"] = plain_text(terms.maximum)
    if terms.max_of:
        told["max_of"] = sorted(terms.max_of)
    told.update(tax_document(terms.tax))
    return told
