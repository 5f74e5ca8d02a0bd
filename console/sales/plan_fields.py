"""The plan form as it is drawn: every field with its label, choices, hint and faults."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing.catalog.domain import Fault
from billing.rating.aggregations import EventPeriodAggregation, PeriodAggregation
from billing.rating.charges import Model
from billing.rating.charges.package import PackageRounding
from billing.rating.conversion import ConversionRounding
from billing.rating.proration import DayCount
from billing.rating.terms import QuotaKind, Scope, Stacking, Timing, ZeroUsage
from console.sales.plan_form import (
    FILTERS,
    IN_MAX_OF,
    OF_METER,
    OF_MODEL,
    TIER_TEXTS,
    TIERS_OF_MODEL,
    PlanForm,
    PriceRow,
)
from kernel.period import Interval
from metering.queries import known_meters
from ui import words
from ui.cells import Text
from ui.plan_faults import fault_text

_ID: Final = re.compile(r"[^A-Za-z0-9]+")

_LABELS: Final[Mapping[str, Text]] = {
    "key": gettext_lazy("Key"),
    "currency": gettext_lazy("Currency"),
    "interval": gettext_lazy("Billed every"),
    "interval_count": gettext_lazy("How many of them"),
    "trial_days": gettext_lazy("Days of trial"),
    "effective_from": gettext_lazy("In force from"),
    "grace": gettext_lazy("Drafts wait for late usage"),
    "day_count": gettext_lazy("Part periods are counted"),
    "model": gettext_lazy("Model"),
    "amount": gettext_lazy("Amount"),
    "unit_price": gettext_lazy("Unit price"),
    "package_size": gettext_lazy("Size of a package"),
    "package_price": gettext_lazy("Price of a package"),
    "package_rounding": gettext_lazy("A package begun"),
    "rate_percent": gettext_lazy("Percent of the amount"),
    "fixed_fee": gettext_lazy("Fixed fee"),
    "meter": gettext_lazy("Meter"),
    "period_aggregation": gettext_lazy("The period's quantity"),
    "k": gettext_lazy("Which highest day (k)"),
    "scope": gettext_lazy("Counted for"),
    "filter.kind": gettext_lazy("Only these kinds"),
    "filter.direction": gettext_lazy("Only these directions"),
    "filter.region": gettext_lazy("Only these regions"),
    "filter.deployment": gettext_lazy("Only these deployments"),
    "timing": gettext_lazy("Billed"),
    "convert.divide_by": gettext_lazy("Counted in units of"),
    "convert.rounding": gettext_lazy("Then"),
    "convert.decimals": gettext_lazy("To decimals"),
    "included": gettext_lazy("Included quantity"),
    "zero_usage": gettext_lazy("Without usage"),
    "minimum": gettext_lazy("At least"),
    "maximum": gettext_lazy("At most"),
    "prorate": gettext_lazy("In proportion for part periods"),
    "private": gettext_lazy("Private: only tenants to which it was offered see it"),
    "addon": gettext_lazy("An add-on, billed where it is held"),
    "stacking": gettext_lazy("Added again"),
    "group": gettext_lazy("Group of add-ons"),
    "up_to": gettext_lazy("Up to"),
    "flat_fee": gettext_lazy("Fee"),
    "feature": gettext_lazy("Feature"),
    "allows": gettext_lazy("Allows"),
    "limit": gettext_lazy("Limit"),
    "kind": gettext_lazy("At the limit"),
    "text": gettext_lazy("Text"),
    IN_MAX_OF: gettext_lazy("One of those of which only the dearest is billed"),
}
_HINTS: Final[Mapping[str, Text]] = {
    "grace": gettext_lazy("Such as PT24H; empty: 24 hours."),
    "effective_from": gettext_lazy("New subscriptions take it from this day; empty: at once."),
    "group": gettext_lazy("Of one group only the last that was added is held."),
    **dict.fromkeys(FILTERS, gettext_lazy("Separated by commas; empty: all.")),
    "convert.divide_by": gettext_lazy("1000 for a price per thousand; empty: single ones."),
}
_FOLDED: Final = (
    "included",
    "convert.divide_by",
    "convert.rounding",
    "convert.decimals",
    "minimum",
    "maximum",
    "timing",
    "zero_usage",
    "stacking",
    "group",
    "prorate",
    "addon",
    IN_MAX_OF,
)
"""Terms that most prices have none of: folded away until one has."""
_USUAL: Final[Mapping[str, str]] = {"zero_usage": "charge", "convert.rounding": ""}
_TYPES: Final[Mapping[str, str]] = {"effective_from": "date"}
_NUMBERS: Final = frozenset(
    {
        "interval_count",
        "trial_days",
        "amount",
        "unit_price",
        "package_size",
        "package_price",
        "rate_percent",
        "fixed_fee",
        "k",
        "convert.divide_by",
        "convert.decimals",
        "included",
        "minimum",
        "maximum",
        "up_to",
        "flat_fee",
        "limit",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    value: str
    label: Text
    chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field. `marks` are CSS classes that say with which choices it belongs."""

    name: str
    label: Text
    value: str = ""
    kind: str = "text"
    choices: Sequence[Choice] = ()
    hint: Text = ""
    marks: str = ""
    pick: str = ""
    is_number: bool = False
    is_fixed: bool = False
    is_next: bool = False
    faults: Sequence[str] = ()

    @property
    def id(self) -> str:
        return "f-" + _ID.sub("-", self.name).strip("-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    index: int
    fields: Sequence[Field]


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    index: int
    title: str
    head: Sequence[Field]
    figures: Sequence[Field]
    tiers: Sequence[Tier]
    tier_faults: Field
    counting: Sequence[Field]
    more: Sequence[Field]
    has_more: bool
    flags: Sequence[Field]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnPlan:
    """The whole form, and the faults that belong to no field of it, with their places."""

    head: Sequence[Field]
    names: Sequence[Field]
    rhythm: Sequence[Field]
    bounds: Sequence[Field]
    flags: Sequence[Field]
    max_of: Field
    prices_fault: Field
    prices: Sequence[Price]
    entitlements: Sequence[Sequence[Field]]
    loose_faults: Sequence[tuple[str, str]]

    @property
    def slots(self) -> Sequence[Field]:
        """Every field at which a fault may stand."""
        found = [
            *self.head,
            *self.names,
            *self.rhythm,
            *self.bounds,
            *self.flags,
            self.max_of,
            self.prices_fault,
        ]
        for price in self.prices:
            found += [*price.head, *price.figures, price.tier_faults, *price.counting]
            found += [*price.more, *price.flags]
            found += [field for tier in price.tiers for field in tier.fields]
        found += [field for row in self.entitlements for field in row]
        return found


def drawn_plan(
    form: PlanForm, faults: Sequence[Fault], *, is_new: bool, next_field: str = ""
) -> DrawnPlan:
    """The form with each fault at its field; `next_field` is where the person goes on."""
    drawing = _Drawing(form, faults, next_field)
    plan = drawing.plan(is_new=is_new)
    named = {field.name for field in plan.slots}
    return DrawnPlan(
        head=plan.head,
        names=plan.names,
        rhythm=plan.rhythm,
        bounds=plan.bounds,
        flags=plan.flags,
        max_of=plan.max_of,
        prices_fault=plan.prices_fault,
        prices=plan.prices,
        entitlements=plan.entitlements,
        loose_faults=tuple(
            (fault.path, _told(fault)) for fault in faults if form.field_of(fault.path) not in named
        ),
    )


def _told(fault: Fault) -> str:
    return fault_text(path=fault.path, code=fault.code, message=fault.message)


class _Drawing:
    """One pass over the form; knows the faults by field."""

    def __init__(self, form: PlanForm, faults: Sequence[Fault], next_field: str) -> None:
        self._form = form
        self._next = next_field
        self._faults: dict[str, list[str]] = {}
        for fault in faults:
            self._faults.setdefault(form.field_of(fault.path), []).append(_told(fault))

    def plan(self, *, is_new: bool) -> DrawnPlan:
        values = self._form.values
        return DrawnPlan(
            head=(
                self.field("", "key", values, is_fixed=not is_new),
                self.field("", "currency", values),
            ),
            names=tuple(
                self.field(
                    "",
                    f"name.{language}",
                    values,
                    label=_("Name (%(language)s)") % {"language": language},
                )
                for language in self._form.languages
            ),
            rhythm=(
                self.select("", "interval", values, _words("interval", Interval), default="month"),
                self.field("", "interval_count", values),
                self.field("", "trial_days", values),
                self.field("", "effective_from", values),
                self.field("", "grace", values),
                self.select(
                    "", "day_count", values, _words("day_count", DayCount), default="actual"
                ),
            ),
            bounds=(
                self.field("", "minimum", values, label=_("Least for a whole period")),
                self.field("", "maximum", values, label=_("Most for a whole period")),
            ),
            flags=(self.flag("", "private", values),),
            max_of=self.field("", "max_of", {}, label=_("Only the dearest is billed of")),
            prices_fault=self.field("", "prices", {}, label=_("Prices")),
            prices=tuple(self.price(index, row) for index, row in enumerate(self._form.prices)),
            entitlements=tuple(
                self.entitlement(index, row) for index, row in enumerate(self._form.entitlements)
            ),
            loose_faults=(),
        )

    def price(self, index: int, row: PriceRow) -> Price:
        prefix = f"prices[{index}]."
        values = row.values
        figures = []
        for name in dict.fromkeys(name for names in OF_MODEL.values() for name in names):
            marks = "by-model " + " ".join(
                f"m-{model}" for model, names in OF_MODEL.items() if name in names
            )
            if name == "package_rounding":
                figures.append(
                    self.select(
                        prefix,
                        name,
                        values,
                        _words("rounding", PackageRounding),
                        default="up",
                        marks=marks,
                    )
                )
            else:
                figures.append(self.field(prefix, name, values, marks=marks))
        key = values.get("key", "").strip()
        return Price(
            index=index,
            title=key or _("New price"),
            head=(
                self.field(prefix, "key", values),
                self.select(
                    prefix,
                    "model",
                    values,
                    _words("model", Model),
                    pick="pick-model",
                ),
            ),
            figures=tuple(figures),
            tiers=tuple(
                Tier(index=at, fields=self.tier(f"{prefix}tiers[{at}].", tier))
                for at, tier in enumerate(row.tiers)
            ),
            tier_faults=self.field(prefix, "tiers", {}, label=_("Tiers")),
            counting=self.counting(prefix, values),
            more=self.more(prefix, values),
            has_more=any(
                values.get(name) or f"{prefix}{name}" in self._faults
                for name in _FOLDED
                if values.get(name) != _USUAL.get(name)
            ),
            flags=tuple(
                self.flag(prefix, name, values) for name in ("prorate", "addon", IN_MAX_OF)
            ),
        )

    def tier(self, prefix: str, row: Mapping[str, str]) -> tuple[Field, ...]:
        return tuple(self.field(prefix, name, row, marks=_tier_marks(name)) for name in TIER_TEXTS)

    def counting(self, prefix: str, values: Mapping[str, str]) -> tuple[Field, ...]:
        fields = [
            self.select(
                prefix,
                "meter",
                values,
                _words("meter", known_meters()),
                empty=_("none: due by time"),
                pick="pick-meter",
            ),
            self.select(
                prefix,
                "period_aggregation",
                values,
                _words("aggregation", (*PeriodAggregation, *EventPeriodAggregation)),
                marks="with-meter",
                pick="pick-aggregation",
            ),
            self.field(prefix, "k", values, marks="with-meter with-k"),
            self.select(
                prefix,
                "scope",
                values,
                _words("counting", Scope),
                default="app",
                marks="with-meter",
            ),
            *(self.field(prefix, name, values, marks="with-meter") for name in FILTERS),
        ]
        assert len(fields) == len(OF_METER)  # noqa: S101  # the form has a field for each
        return tuple(fields)

    def more(self, prefix: str, values: Mapping[str, str]) -> tuple[Field, ...]:
        return (
            self.field(prefix, "included", values),
            self.field(prefix, "convert.divide_by", values),
            self.select(
                prefix,
                "convert.rounding",
                values,
                _words("conversion", ConversionRounding),
                empty=_("not rounded"),
            ),
            self.field(prefix, "convert.decimals", values),
            self.field(prefix, "minimum", values),
            self.field(prefix, "maximum", values),
            self.select(prefix, "timing", values, _words("timing", Timing), empty=_("as usual")),
            self.select(prefix, "zero_usage", values, _ZERO_USAGE, default="charge"),
            self.select(
                prefix,
                "stacking",
                values,
                _words("stacking", Stacking),
                empty=_("as usual"),
                marks="with-addon",
            ),
            self.field(prefix, "group", values, marks="with-addon"),
        )

    def entitlement(self, index: int, row: Mapping[str, str]) -> tuple[Field, ...]:
        prefix = f"entitlements[{index}]."
        return (
            self.field(prefix, "feature", row),
            self.select(prefix, "allows", row, _ALLOWS, default="limit", pick="pick-allows"),
            self.field(prefix, "limit", row, marks="with-limit"),
            self.select(
                prefix, "kind", row, _words("quota", QuotaKind), default="hard", marks="with-limit"
            ),
            self.field(prefix, "text", row, marks="with-text"),
        )

    def field(
        self,
        prefix: str,
        name: str,
        values: Mapping[str, str],
        *,
        label: Text = "",
        marks: str = "",
        is_fixed: bool = False,
    ) -> Field:
        return Field(
            name=prefix + name,
            label=label or _LABELS[name],
            value=values.get(name, ""),
            kind=_TYPES.get(name, "text"),
            hint=_HINTS.get(name, ""),
            marks=marks,
            is_number=name in _NUMBERS,
            is_fixed=is_fixed,
            is_next=prefix + name == self._next,
            faults=tuple(self._faults.get(prefix + name, ())),
        )

    def select(
        self,
        prefix: str,
        name: str,
        values: Mapping[str, str],
        offered: Sequence[tuple[str, Text]],
        *,
        empty: Text = "—",
        default: str = "",
        marks: str = "",
        pick: str = "",
    ) -> Field:
        """A choice; one that isn't offered (typed as JSON) stays among them, to be seen as a fault."""
        value = values.get(name, "").strip() or default
        options = list(offered) if default else [("", empty), *offered]
        if value and value not in dict(options):
            options.append((value, value))
        return Field(
            name=prefix + name,
            label=_LABELS[name],
            value=value,
            kind="select",
            choices=tuple(
                Choice(value=code, label=text, chosen=code == value) for code, text in options
            ),
            hint=_HINTS.get(name, ""),
            marks=marks,
            pick=pick,
            is_next=prefix + name == self._next,
            faults=tuple(self._faults.get(prefix + name, ())),
        )

    def flag(self, prefix: str, name: str, values: Mapping[str, str]) -> Field:
        return Field(
            name=prefix + name,
            label=_LABELS[name],
            value="on" if values.get(name) else "",
            kind="checkbox",
            faults=tuple(self._faults.get(prefix + name, ())),
        )


def _words(kind: str, codes: Iterable[str]) -> list[tuple[str, Text]]:
    return [(str(code), words.word(kind, code)) for code in codes]


def _tier_marks(name: str) -> str:
    return "by-model " + " ".join(
        f"m-{model}" for model, names in TIERS_OF_MODEL.items() if name in names
    )


_ZERO_USAGE: Final[Sequence[tuple[str, Text]]] = (
    (ZeroUsage.CHARGE.value, gettext_lazy("as the model says")),
    (ZeroUsage.FREE.value, gettext_lazy("free")),
)
_ALLOWS: Final[Sequence[tuple[str, Text]]] = (
    ("limit", gettext_lazy("up to a limit")),
    ("yes", gettext_lazy("yes")),
    ("no", gettext_lazy("no")),
    ("text", gettext_lazy("a text")),
)
