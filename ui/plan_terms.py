"""A plan's terms as people read them, from the plan document (contract section 5)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.utils.translation import get_language
from django.utils.translation import gettext as _

from ui import formats, words
from ui.cells import Text


@dataclass(frozen=True, slots=True, kw_only=True)
class TierTerms:
    """One band of a tiered price."""

    bound: str
    unit_price: str
    flat_fee: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceTerms:
    """One price: what it is for, its formula in words, and its tiers where it has some."""

    key: str
    title: Text
    model: Text
    headline: str
    notes: Sequence[str]
    tiers: Sequence[TierTerms]
    addon: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSheet:
    """A plan as one sheet."""

    name: str
    key: str
    interval: str
    currency: str
    trial_days: int
    prices: Sequence[PriceTerms]
    bounds: Sequence[str]
    """What bounds the whole plan's amount."""
    entitlements: Sequence[tuple[str, str]]


def plan_sheet(document: Mapping[str, Any]) -> PlanSheet:
    """The plan document in the reader's language."""
    language = get_language() or "en"
    currency = str(document.get("currency", ""))
    return PlanSheet(
        name=plan_name(document, language=language),
        key=str(document.get("key", "")),
        interval=interval_text(document),
        currency=currency,
        trial_days=int(document.get("trial_days") or 0),
        prices=tuple(
            _price(price, currency=currency, language=language)
            for price in document.get("prices") or []
        ),
        bounds=tuple(_bounds(document, currency=currency, language=language)),
        entitlements=tuple(
            (str(words.name_of("feature", feature)), allowed_text(value, language=language))
            for feature, value in (document.get("entitlements") or {}).items()
        ),
    )


def plan_name(document: Mapping[str, Any], *, language: str) -> str:
    """The plan's name in the language, else in English, else any, else its key."""
    names = document.get("name") or {}
    if isinstance(names, str):
        return names
    return str(
        names.get(language)
        or names.get("en")
        or next(iter(names.values()), document.get("key", ""))
    )


def _bounds(document: Mapping[str, Any], *, currency: str, language: str) -> Iterator[str]:
    for name, text in (
        ("minimum", _("The whole invoice of a period is at least %(amount)s.")),
        ("maximum", _("The whole invoice of a period is at most %(amount)s.")),
    ):
        if document.get(name):
            amount = formats.price_text(Decimal(str(document[name])), currency, language=language)
            yield text % {"amount": amount}
    if document.get("max_of"):
        names = (str(words.name_of("price", key)) for key in document["max_of"])
        yield _("Of these only the dearest is billed: %(prices)s.") % {"prices": ", ".join(names)}


def interval_text(document: Mapping[str, Any]) -> str:
    """How often the plan is billed: "monthly", "every 3 months"."""
    count = int(document.get("interval_count") or 1)
    once, several = {
        "day": (_("daily"), _("every %(count)s days")),
        "week": (_("weekly"), _("every %(count)s weeks")),
        "quarter": (_("quarterly"), _("every %(count)s quarters")),
        "year": (_("yearly"), _("every %(count)s years")),
    }.get(str(document.get("interval", "month")), (_("monthly"), _("every %(count)s months")))
    return once if count == 1 else several % {"count": count}


def _price(price: Mapping[str, Any], *, currency: str, language: str) -> PriceTerms:
    def money(name: str) -> str:
        return formats.price_text(Decimal(str(price[name])), currency, language=language)

    def number(name: str) -> str:
        return formats.quantity_text(Decimal(str(price[name])), language=language)

    match price.get("model"):
        case "flat":
            headline = money("amount")
        case "per_unit":
            headline = _("%(price)s per unit") % {"price": money("unit_price")}
        case "package":
            headline = _("%(price)s per started %(size)s") % {
                "price": money("package_price"),
                "size": number("package_size"),
            }
            if price.get("package_rounding") == "down":
                headline = _("%(price)s per full %(size)s") % {
                    "price": money("package_price"),
                    "size": number("package_size"),
                }
        case "percentage":
            headline = _("%(percent)s %% of the amount") % {"percent": number("rate_percent")}
        case _:
            headline = str(words.word("model", str(price.get("model"))))
    notes = [str(words.word("timing", _timing(price)))]
    if price.get("meter"):
        notes.insert(0, counted_text(price))
    divisor = (price.get("convert") or {}).get("divide_by")
    if divisor:
        size = formats.quantity_text(Decimal(str(divisor)), language=language)
        notes.append(_("counted in units of %(size)s") % {"size": size})
    if price.get("included") and Decimal(str(price["included"])):
        notes.append(_("%(quantity)s included") % {"quantity": number("included")})
    if price.get("minimum"):
        notes.append(_("at least %(amount)s") % {"amount": money("minimum")})
    if price.get("maximum"):
        notes.append(_("at most %(amount)s") % {"amount": money("maximum")})
    if price.get("prorate"):
        notes.append(_("in proportion for part periods"))
    return PriceTerms(
        key=str(price.get("key", "")),
        title=price_title(price),
        model=words.word("model", str(price.get("model"))),
        headline=headline,
        notes=tuple(notes),
        tiers=tuple(_tiers(price, currency=currency, language=language)),
        addon=bool(price.get("addon")),
    )


def price_title(price: Mapping[str, Any]) -> Text:
    """What the price is for: its meter where it has one, else its own name."""
    meter = price.get("meter")
    if meter:
        return words.word("meter", str(meter))
    return words.name_of("price", str(price.get("key", "")))


def _timing(price: Mapping[str, Any]) -> str:
    return str(price.get("timing") or ("in_arrears" if price.get("meter") else "in_advance"))


def counted_text(price: Mapping[str, Any]) -> str:
    """How a metered price's quantity is counted: "peak day of each app"."""
    name = str(price.get("period_aggregation", ""))
    text = str(words.word("aggregation", name))
    if name == "kth_max_day":
        text = _("highest day no. %(k)s") % {"k": price.get("k", "1")}
    match price.get("scope", "app"):
        case "tenant":
            return _("%(aggregation)s of all apps together") % {"aggregation": text}
        case "tenant_sum_of_peaks":
            return _("%(aggregation)s, summed over the apps") % {"aggregation": text}
        case _:
            return _("%(aggregation)s of each app") % {"aggregation": text}


def _tiers(price: Mapping[str, Any], *, currency: str, language: str) -> Sequence[TierTerms]:
    tiers = []
    for tier in price.get("tiers") or []:
        bound = tier.get("up_to")
        unit = tier.get("unit_price")
        percent = tier.get("rate_percent")
        fee = tier.get("flat_fee")
        tiers.append(
            TierTerms(
                bound=_("above")
                if bound is None
                else _("up to %(bound)s")
                % {"bound": formats.quantity_text(Decimal(str(bound)), language=language)},
                unit_price=formats.price_text(Decimal(str(unit)), currency, language=language)
                if unit is not None
                else f"{formats.quantity_text(Decimal(str(percent)), language=language)} %"
                if percent is not None
                else "—",
                flat_fee=formats.price_text(Decimal(str(fee)), currency, language=language)
                if fee is not None and Decimal(str(fee))
                else "—",
            )
        )
    return tiers


def allowed_text(value: Any, *, language: str) -> str:
    """An entitlement: "3,000 (hard limit)", "yes", or its text."""
    kind = ""
    if isinstance(value, Mapping):
        kind = str(value.get("kind") or "")
        value = value.get("limit")
    if value is True:
        return _("yes")
    if value is False or value is None:
        return _("no")
    try:
        text = formats.quantity_text(Decimal(str(value)), language=language)
    except ArithmeticError:
        text = str(value)
    limits = {
        "hard": _("hard limit"),
        "soft": _("soft limit"),
        "grace": _("limit with grace"),
    }
    return f"{text} ({limits[kind]})" if kind in limits else text
