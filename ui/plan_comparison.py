"""What differs between two plan documents (contract section 5), term by term, in a reader's words.

Takes the canonical form of the documents, in which the same terms are written the same way. A term that
this module has no words for is shown as it stands: no difference is left out.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from django.utils.translation import get_language
from django.utils.translation import gettext as _

from ui import formats, words
from ui.plan_terms import allowed_text, counted_text, interval_text, price_title

_NOTHING = "—"
_PLAN_SHOWN = {
    "key",
    "name",
    "currency",
    "interval",
    "interval_count",
    "trial_days",
    "effective_from",
    "grace",
    "day_count",
    "private",
    "prices",
    "minimum",
    "maximum",
    "max_of",
    "entitlements",
}
_PRICE_SHOWN = {
    "key",
    "model",
    "amount",
    "unit_price",
    "package_size",
    "package_price",
    "package_rounding",
    "rate_percent",
    "fixed_fee",
    "tiers",
    "meter",
    "period_aggregation",
    "k",
    "scope",
    "filter",
    "timing",
    "convert",
    "included",
    "zero_usage",
    "minimum",
    "maximum",
    "prorate",
    "addon",
    "stacking",
    "group",
}


class Change(StrEnum):
    """What became of a term."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One term that is not the same; `note` is by how much a figure went up or down."""

    label: str
    old: str
    new: str
    change: Change
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """The differences of the plan as a whole, of one price, or of what the plan allows."""

    title: str
    change: Change
    differences: Sequence[Difference]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Term:
    label: str
    text: str
    figure: Decimal | None = None
    is_usual: bool = False
    """Not worth a word where the whole section is new or gone."""


_Terms = dict[str, _Term]


def plan_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Section]:
    """The sections with differences, in the order of the plan sheet; none where both mean the same."""
    language = get_language() or "en"
    sections = [_section(_("The plan"), _plan(old, language), _plan(new, language))]
    old_prices, new_prices = _prices(old), _prices(new)
    for key in [*new_prices, *(key for key in old_prices if key not in new_prices)]:
        before, after = old_prices.get(key), new_prices.get(key)
        sections.append(
            _section(
                _price_section(after or before or {}),
                _price(before, str(old.get("currency")), language),
                _price(after, str(new.get("currency")), language),
            )
        )
    sections.append(
        _section(_("What the plan allows"), _allowed(old, language), _allowed(new, language))
    )
    return [section for section in sections if section.differences]


def _section(title: str, old: _Terms, new: _Terms) -> Section:
    differences = []
    for key in [*new, *(key for key in old if key not in new)]:
        before, after = old.get(key), new.get(key)
        if before is not None and after is not None and before.text == after.text:
            continue
        term = after or before
        if term is not None and term.is_usual and not (old and new):
            continue
        assert term is not None  # noqa: S101  # the key came from one of both
        differences.append(
            Difference(
                label=term.label,
                old=before.text if before else _NOTHING,
                new=after.text if after else _NOTHING,
                change=_change(before, after),
                note=_by_how_much(before, after),
            )
        )
    change = Change.CHANGED
    if new and not old:
        change = Change.ADDED
    elif old and not new:
        change = Change.REMOVED
    return Section(title=title, change=change, differences=tuple(differences))


def _change(before: _Term | None, after: _Term | None) -> Change:
    if before is None:
        return Change.ADDED
    return Change.REMOVED if after is None else Change.CHANGED


def _by_how_much(before: _Term | None, after: _Term | None) -> str:
    """+12.5 %, to one decimal; empty where there is nothing to compare with."""
    if before is None or after is None or not before.figure or after.figure is None:
        return ""
    return formats.change_text(before.figure, after.figure, language=get_language() or "en")


def _plan(document: Mapping[str, Any], language: str) -> _Terms:
    currency = str(document.get("currency", ""))
    terms: _Terms = {}

    def put(key: str, label: str, text: str, figure: Decimal | None = None) -> None:
        terms[key] = _Term(label=label, text=text, figure=figure)

    names = document.get("name") or {}
    for tongue, name in names.items():
        put(f"name.{tongue}", _("Name (%(language)s)") % {"language": tongue}, str(name))
    put("currency", _("Currency"), currency)
    put("interval", _("Billed"), interval_text(document))
    trial = int(document.get("trial_days") or 0)
    put("trial_days", _("Trial"), _("%(days)s days") % {"days": trial} if trial else _("none"))
    if document.get("effective_from"):
        put("effective_from", _("In force from"), str(document["effective_from"]))
    if document.get("grace"):
        put("grace", _("Drafts wait for late usage"), str(document["grace"]))
    day_count = str(words.word("day_count", str(document.get("day_count") or "actual")))
    put("day_count", _("Part periods are counted"), day_count)
    put("private", _("Private"), _("yes") if document.get("private") else _("no"))
    for name, label in (
        ("minimum", _("Least for a whole period")),
        ("maximum", _("Most for a whole period")),
    ):
        if document.get(name) is not None:
            figure = Decimal(str(document[name]))
            put(name, label, formats.price_text(figure, currency, language=language), figure)
    if document.get("max_of"):
        put(
            "max_of",
            _("Only the dearest is billed of"),
            ", ".join(str(words.name_of("price", key)) for key in document["max_of"]),
        )
    terms.update(_others(document, _PLAN_SHOWN))
    return terms


def _prices(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {str(price.get("key")): price for price in document.get("prices") or []}


def _price_section(price: Mapping[str, Any]) -> str:
    return _("Price %(title)s (%(key)s)") % {"title": price_title(price), "key": price.get("key")}


def _price(price: Mapping[str, Any] | None, currency: str, language: str) -> _Terms:
    """The terms of a price; none where there is no such price."""
    if price is None:
        return {}
    terms: _Terms = {
        "model": _Term(label=_("Model"), text=str(words.word("model", str(price.get("model")))))
    }
    for name, label in (
        ("amount", _("Amount")),
        ("unit_price", _("Unit price")),
        ("package_price", _("Price of a package")),
        ("fixed_fee", _("Fixed fee")),
    ):
        if price.get(name) is not None:
            terms[name] = _money(label, price[name], currency, language)
    for name, label in (
        ("package_size", _("Size of a package")),
        ("rate_percent", _("Percent of the amount")),
    ):
        if price.get(name) is not None:
            terms[name] = _number(label, price[name], language)
    if price.get("model") == "package":
        rounding = str(words.word("rounding", str(price.get("package_rounding") or "up")))
        terms["package_rounding"] = _Term(label=_("A package begun"), text=rounding)
    for index, tier in enumerate(price.get("tiers") or [], start=1):
        terms.update(_tier(index, tier, currency, language))
    terms.update(_counted(price, language))
    for name, label in (("minimum", _("At least")), ("maximum", _("At most"))):
        if price.get(name) is not None:
            terms[name] = _money(label, price[name], currency, language)
    terms.update(_flags(price))
    terms.update(_addons(price))
    terms.update(_others(price, _PRICE_SHOWN))
    return terms


def _counted(price: Mapping[str, Any], language: str) -> Iterator[tuple[str, _Term]]:
    if price.get("meter"):
        meter = str(words.word("meter", str(price["meter"])))
        yield "meter", _Term(label=_("Meter"), text=meter)
        yield "counted", _Term(label=_("Counted"), text=counted_text(price))
    kinds = (price.get("filter") or {}).get("kind")
    if kinds:
        yield (
            "filter",
            _Term(
                label=_("Only kinds"),
                text=", ".join([kinds] if isinstance(kinds, str) else map(str, kinds)),
            ),
        )
    convert = price.get("convert")
    if convert:
        size = _number("", convert.get("divide_by"), language).text
        rounding = str(words.word("conversion", str(convert.get("rounding") or "none")))
        text = f"{size}, {rounding}"
        if convert.get("decimals"):
            text += ", " + _("%(count)s decimals") % {"count": convert["decimals"]}
        yield "convert", _Term(label=_("Counted in units of"), text=text)
    if price.get("included") is not None:
        yield "included", _number(_("Included"), price["included"], language)


def _flags(price: Mapping[str, Any]) -> Iterator[tuple[str, _Term]]:
    timing = price.get("timing") or ("in_arrears" if price.get("meter") else "in_advance")
    yield "timing", _Term(label=_("Billed"), text=str(words.word("timing", str(timing))))
    free = price.get("zero_usage") == "free"
    yield (
        "zero_usage",
        _Term(
            label=_("Without usage"),
            text=_("free") if free else _("as the model says"),
            is_usual=not free,
        ),
    )
    for name, label in (
        ("prorate", _("In proportion for part periods")),
        ("addon", _("An add-on, billed where it is held")),
    ):
        is_set = bool(price.get(name))
        yield name, _Term(label=label, text=_("yes") if is_set else _("no"), is_usual=not is_set)


def _addons(price: Mapping[str, Any]) -> Iterator[tuple[str, _Term]]:
    if price.get("addon"):
        stacking = price.get("stacking") or ("replace" if price.get("group") else "add")
        yield (
            "stacking",
            _Term(label=_("Added again"), text=str(words.word("stacking", str(stacking)))),
        )
    if price.get("group"):
        yield "group", _Term(label=_("Group of add-ons"), text=str(price["group"]))


def _tier(
    index: int, tier: Mapping[str, Any], currency: str, language: str
) -> Iterator[tuple[str, _Term]]:
    bound = tier.get("up_to")
    shown = (
        _("without end")
        if bound is None
        else formats.quantity_text(Decimal(str(bound)), language=language)
    )
    number = {"index": index}
    yield (
        f"tier.{index}.up_to",
        _Term(
            label=_("Tier %(index)s: up to") % number,
            text=shown,
            figure=None if bound is None else Decimal(str(bound)),
        ),
    )
    if tier.get("unit_price") is not None:
        label = _("Tier %(index)s: unit price") % number
        yield f"tier.{index}.unit_price", _money(label, tier["unit_price"], currency, language)
    if tier.get("rate_percent") is not None:
        label = _("Tier %(index)s: percent") % number
        yield f"tier.{index}.rate_percent", _number(label, tier["rate_percent"], language)
    if tier.get("flat_fee") is not None:
        label = _("Tier %(index)s: fee") % number
        yield f"tier.{index}.flat_fee", _money(label, tier["flat_fee"], currency, language)


def _allowed(document: Mapping[str, Any], language: str) -> _Terms:
    return {
        feature: _Term(
            label=str(words.name_of("feature", feature)),
            text=allowed_text(value, language=language),
        )
        for feature, value in (document.get("entitlements") or {}).items()
    }


def _money(label: str, value: object, currency: str, language: str) -> _Term:
    figure = Decimal(str(value))
    return _Term(
        label=label, text=formats.price_text(figure, currency, language=language), figure=figure
    )


def _number(label: str, value: object, language: str) -> _Term:
    figure = Decimal(str(value))
    return _Term(label=label, text=formats.quantity_text(figure, language=language), figure=figure)


def _others(document: Mapping[str, Any], shown: set[str]) -> Iterator[tuple[str, _Term]]:
    for name, value in document.items():
        if name not in shown:
            yield name, _Term(label=name, text=json.dumps(value, ensure_ascii=False, default=str))
