"""The plan form: a plan document as rows of texts, there and back, without losing what was typed.

A field is named by its path in the document (`prices[1].tiers[0].up_to`), which is how the parser names a
fault too: that is all that brings a fault to its field. Pure; what a plan may say is the parser's matter.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from billing.catalog.domain import Fault, PlanFaults, parse_plan
from billing.rating.charges import Model
from billing.rating.terms import PlanTerms
from kernel.dimensions import DIMENSIONS
from metering.queries import known_meters

PLAN_TEXTS: Final = (
    "key",
    "currency",
    "interval",
    "interval_count",
    "trial_days",
    "effective_from",
    "grace",
    "day_count",
    "minimum",
    "maximum",
)
PLAN_FLAGS: Final = ("private",)
LANGUAGES: Final = ("en", "zh-hans")
FILTERS: Final = tuple(f"filter.{name}" for name in DIMENSIONS)
PRICE_TEXTS: Final = (
    "key",
    "model",
    "amount",
    "unit_price",
    "package_size",
    "package_price",
    "package_rounding",
    "rate_percent",
    "fixed_fee",
    "meter",
    "period_aggregation",
    "k",
    "scope",
    *FILTERS,
    "timing",
    "convert.divide_by",
    "convert.rounding",
    "convert.decimals",
    "included",
    "zero_usage",
    "minimum",
    "maximum",
    "stacking",
    "group",
)
PRICE_FLAGS: Final = ("prorate", "addon")
IN_MAX_OF: Final = "in_max_of"
TIER_TEXTS: Final = ("up_to", "unit_price", "rate_percent", "flat_fee")
ENTITLEMENT_TEXTS: Final = ("feature", "allows", "limit", "kind", "text")

OF_MODEL: Final[Mapping[Model, tuple[str, ...]]] = {
    Model.FLAT: ("amount",),
    Model.PER_UNIT: ("unit_price",),
    Model.GRADUATED: (),
    Model.VOLUME: (),
    Model.STAIRSTEP: (),
    Model.PACKAGE: ("package_size", "package_price", "package_rounding"),
    Model.PERCENTAGE: ("rate_percent", "fixed_fee"),
    Model.GRADUATED_PERCENTAGE: (),
}
"""The figures of each model beside its tiers."""
TIERS_OF_MODEL: Final[Mapping[Model, tuple[str, ...]]] = {
    Model.GRADUATED: ("up_to", "unit_price", "flat_fee"),
    Model.VOLUME: ("up_to", "unit_price", "flat_fee"),
    Model.STAIRSTEP: ("up_to", "flat_fee"),
    Model.GRADUATED_PERCENTAGE: ("up_to", "rate_percent", "flat_fee"),
}
OF_ADDON: Final = ("stacking", "group")
OF_METER: Final = ("meter", "period_aggregation", "k", "scope", *FILTERS)
MOST_FIELDS: Final = 900
"""More than a browser form of ours may send (Django refuses 1,000); such a plan is edited as text."""

_INDEXED: Final = re.compile(r"(prices|entitlements)\[(\d{1,3})\]\.(?:tiers\[(\d{1,3})\]\.)?(.+)")
_WHOLE: Final = re.compile(r"[0-9]{1,9}")
_MODELS: Final = frozenset(Model)
_FILTER_PATH: Final = re.compile(r"(prices\[\d+\]\.filter)(?:\.(\w+))?\b.*")
_CONVERT_PATH: Final = re.compile(r"(prices\[\d+\]\.convert)")
_FEATURE_PATH: Final = re.compile(r"entitlements\.(.+?)(?:\.(limit|kind))?")

Row = dict[str, str]


@dataclass(slots=True, kw_only=True)
class PriceRow:
    """What was typed for one price."""

    values: Row = field(default_factory=dict)
    tiers: list[Row] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class PlanForm:
    """What was typed for a plan; names of languages are `name.en` and so on."""

    values: Row = field(default_factory=dict)
    prices: list[PriceRow] = field(default_factory=list)
    entitlements: list[Row] = field(default_factory=list)

    @property
    def languages(self) -> list[str]:
        """The languages that the form asks for, and those that the plan has beside them."""
        others = [name[5:] for name in self.values if name.startswith("name.")]
        return [*LANGUAGES, *(each for each in others if each not in LANGUAGES)]

    @property
    def size(self) -> int:
        """How many fields a browser would send."""
        tiers = sum(len(price.tiers) for price in self.prices)
        per_price = len(PRICE_TEXTS) + len(PRICE_FLAGS) + 1
        return (
            len(PLAN_TEXTS)
            + len(PLAN_FLAGS)
            + len(self.languages)
            + per_price * len(self.prices)
            + len(TIER_TEXTS) * tiers
            + len(ENTITLEMENT_TEXTS) * len(self.entitlements)
        )

    def document(self) -> dict[str, Any]:
        """The plan document that the rows say; fields of other models are left out."""
        document: dict[str, Any] = {}
        for name in PLAN_TEXTS:
            _put(
                document,
                name,
                _text(self.values, name),
                whole=name in {"interval_count", "trial_days"},
            )
        for flag in PLAN_FLAGS:
            if self.values.get(flag):
                document[flag] = True
        names = {
            language: text
            for language in self.languages
            if (text := self.values.get(f"name.{language}", "")).strip()
        }
        if names:
            document["name"] = names
        features = {
            feature: _allowed(row)
            for row in self.entitlements
            if (feature := _text(row, "feature"))
        }
        if features:
            document["entitlements"] = features
        document["prices"] = [_price_document(price) for price in self.prices]
        dearest = [
            _text(price.values, "key") for price in self.prices if price.values.get(IN_MAX_OF)
        ]
        if dearest:
            document["max_of"] = dearest
        return document

    def faults(self) -> list[Fault]:
        """What the document can't hold and the parser therefore can't see."""
        found = []
        seen: set[str] = set()
        for index, row in enumerate(self.entitlements):
            path = f"entitlements[{index}].feature"
            feature = _text(row, "feature")
            if not feature and any(_text(row, name) for name in ("limit", "text")):
                found.append(
                    Fault(path=path, code="missing", message=f"{path} is missing; give it.")
                )
            elif feature in seen:
                found.append(
                    Fault(
                        path=path,
                        code="duplicate_key",
                        message=f"{path} is {feature}, as of a row before; name each feature once.",
                    )
                )
            if feature:
                seen.add(feature)
        return found

    def field_of(self, path: str) -> str:
        """The form's field for a fault's path; the path itself where there is none."""
        if path.startswith("max_of"):
            return "max_of"
        if match := _FILTER_PATH.fullmatch(path):
            return f"{match[1]}.{match[2] if match[2] in DIMENSIONS else 'kind'}"
        if _CONVERT_PATH.fullmatch(path):
            return f"{path}.divide_by"
        if match := _FEATURE_PATH.fullmatch(path):
            for index, row in enumerate(self.entitlements):
                if _text(row, "feature") == match[1]:
                    return f"entitlements[{index}].{match[2] or 'feature'}"
        return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A document with its terms, or with every fault."""

    document: Mapping[str, Any]
    terms: PlanTerms | None
    faults: Sequence[Fault]


def read_document(document: object, *, before: Sequence[Fault] = ()) -> Read:
    """What the plan parser says of the document; `before` are faults that were found already."""
    shown = document if isinstance(document, Mapping) else {}
    try:
        terms = parse_plan(document, known_meters=known_meters())
    except PlanFaults as refusal:
        return Read(document=shown, terms=None, faults=(*before, *refusal.faults))
    return Read(document=shown, terms=None if before else terms, faults=tuple(before))


def form_from_post(sent: Mapping[str, str]) -> PlanForm:
    """The rows that a browser sent; `sent` gives one text a name. Unknown names are passed over."""
    form = PlanForm(
        values={
            name: text
            for name, text in sent.items()
            if name in (*PLAN_TEXTS, *PLAN_FLAGS) or name.startswith("name.")
        }
    )
    prices: dict[int, PriceRow] = {}
    tiers: dict[tuple[int, int], Row] = {}
    entitlements: dict[int, Row] = {}
    for name, text in sent.items():
        match = _INDEXED.fullmatch(name)
        if match is None:
            continue
        kind, index, tier, rest = match[1], int(match[2]), match[3], match[4]
        if kind == "entitlements" and tier is None and rest in ENTITLEMENT_TEXTS:
            entitlements.setdefault(index, {})[rest] = text
        elif kind == "prices" and tier is None and rest in (*PRICE_TEXTS, *PRICE_FLAGS, IN_MAX_OF):
            prices.setdefault(index, PriceRow()).values[rest] = text
        elif kind == "prices" and tier is not None and rest in TIER_TEXTS:
            tiers.setdefault((index, int(tier)), {})[rest] = text
    for (index, _), row in sorted(tiers.items()):
        prices.setdefault(index, PriceRow()).tiers.append(row)
    form.prices = [prices[index] for index in sorted(prices)]
    form.entitlements = [entitlements[index] for index in sorted(entitlements)]
    return form


def form_from_document(document: Mapping[str, Any]) -> PlanForm | None:
    """The rows of a document; None for one that says something that no field holds, or that has more
    than a browser may send."""
    try:
        form = _form_of(document)
    except (AttributeError, TypeError):
        return None
    if form.size > MOST_FIELDS:
        return None
    there, back = read_document(document), read_document(form.document())
    if there.terms is not None and back.terms is not None:
        return form if there.terms.content_hash == back.terms.content_hash else None
    return form if _codes(there) == _codes(back) else None


def new_price() -> PriceRow:
    """An empty price, of the model that needs least."""
    return PriceRow(values={"model": Model.FLAT.value})


def change_rows(form: PlanForm, action: str) -> str:
    """Add, remove or move rows as a button says; gives the name of the field to go on with.

    `action` is `add_price`, `remove_price:0`, `price_up:1`, `add_tier:0`, `remove_tier:0:2`,
    `add_entitlement` or `remove_entitlement:3`; anything else changes nothing.
    """
    verb, *numbers = action.split(":")
    at = [int(number) for number in numbers if _WHOLE.fullmatch(number)]
    match verb, at:
        case "add_price", []:
            form.prices.append(new_price())
            return f"prices[{len(form.prices) - 1}].key"
        case "add_entitlement", []:
            form.entitlements.append({"allows": "limit"})
            return f"entitlements[{len(form.entitlements) - 1}].feature"
        case "remove_price", [index] if index < len(form.prices):
            del form.prices[index]
        case "remove_entitlement", [index] if index < len(form.entitlements):
            del form.entitlements[index]
        case "price_up", [index] if 0 < index < len(form.prices):
            form.prices.insert(index - 1, form.prices.pop(index))
            return f"prices[{index - 1}].key"
        case "add_tier", [index] if index < len(form.prices):
            tiers = form.prices[index].tiers
            tiers.append({})
            return f"prices[{index}].tiers[{len(tiers) - 1}].up_to"
        case "remove_tier", [index, tier] if index < len(form.prices) and tier < len(
            form.prices[index].tiers
        ):
            del form.prices[index].tiers[tier]
            return f"prices[{index}].model"
    return ""


def _codes(read: Read) -> list[tuple[str, str]]:
    return [(fault.path, fault.code) for fault in read.faults]


def _text(row: Mapping[str, str], name: str) -> str:
    return row.get(name, "").strip()


def _put(document: dict[str, Any], name: str, text: str, *, whole: bool = False) -> None:
    """Under its name, dots as levels; nothing for an empty text."""
    if not text:
        return
    *outer, last = name.split(".")
    for level in outer:
        document = document.setdefault(level, {})
    document[last] = int(text) if whole and _WHOLE.fullmatch(text) else text


def _price_document(price: PriceRow) -> dict[str, Any]:
    document: dict[str, Any] = {}
    model = _text(price.values, "model")
    known = Model(model) if model in _MODELS else None
    figures = OF_MODEL[known] if known is not None else ()
    others = {name for names in OF_MODEL.values() for name in names} - set(figures)
    is_metered = bool(_text(price.values, "meter"))
    is_kth = _text(price.values, "period_aggregation") == "kth_max_day"
    for name in PRICE_TEXTS:
        if name in others or (name in OF_METER and not is_metered) or (name == "k" and not is_kth):
            continue
        if name in OF_ADDON and not price.values.get("addon"):
            continue
        text = _text(price.values, name)
        if name in FILTERS and "," in text:
            values = [value for each in text.split(",") if (value := each.strip())]
            document.setdefault("filter", {})[name.removeprefix("filter.")] = values
        else:
            _put(document, name, text, whole=name in {"k", "convert.decimals"})
    columns = TIERS_OF_MODEL.get(known) if known is not None else None
    if columns:
        tiers = []
        for row in price.tiers:
            tier: dict[str, Any] = {"up_to": None}
            for name in columns:
                _put(tier, name, _text(row, name))
            tiers.append(tier)
        document["tiers"] = tiers
    for flag in PRICE_FLAGS:
        if price.values.get(flag):
            document[flag] = True
    return document


def _allowed(row: Row) -> Any:
    match _text(row, "allows"):
        case "yes":
            return True
        case "no":
            return False
        case "text":
            return row.get("text", "")
        case _:
            return {name: text for name in ("limit", "kind") if (text := _text(row, name))}


def _form_of(document: Mapping[str, Any]) -> PlanForm:
    values = {name: _shown(document.get(name)) for name in PLAN_TEXTS}
    names = document.get("name")
    if isinstance(names, str):
        names = {"en": names}
    values |= {f"name.{language}": _shown(name) for language, name in (names or {}).items()}
    values |= {flag: "on" for flag in PLAN_FLAGS if document.get(flag) is True}
    dearest = document.get("max_of") or []
    return PlanForm(
        values={name: text for name, text in values.items() if text},
        prices=[_price_row(price, dearest) for price in document.get("prices") or []],
        entitlements=[
            _entitlement_row(feature, value)
            for feature, value in (document.get("entitlements") or {}).items()
        ],
    )


def _price_row(price: Mapping[str, Any], dearest: Sequence[Any]) -> PriceRow:
    values: Row = {}
    for name in PRICE_TEXTS:
        outer, _, inner = name.partition(".")
        value = (price.get(outer) or {}).get(inner) if inner else price.get(outer)
        if name in FILTERS and isinstance(value, list | tuple):
            value = ", ".join(_shown(kind) for kind in value)
        if text := _shown(value):
            values[name] = text
    for flag in PRICE_FLAGS:
        if price.get(flag) is True:
            values[flag] = "on"
    if price.get("key") in dearest:
        values[IN_MAX_OF] = "on"
    tiers = [
        {name: text for name in TIER_TEXTS if (text := _shown(tier.get(name)))}
        for tier in price.get("tiers") or []
    ]
    return PriceRow(values=values, tiers=tiers)


def _entitlement_row(feature: str, value: Any) -> Row:
    row = {"feature": feature}
    match value:
        case bool():
            row["allows"] = "yes" if value else "no"
        case str():
            row |= {"allows": "text", "text": value}
        case Mapping():
            row["allows"] = "limit"
            row |= {name: text for name in ("limit", "kind") if (text := _shown(value.get(name)))}
        case _:
            row |= {"allows": "limit", "limit": _shown(value)}
    return row


def _shown(value: Any) -> str:
    """A scalar as a field shows it. Raises TypeError for what no single field can hold."""
    if value is None:
        return ""
    if isinstance(value, bool | list | tuple | Mapping):
        raise TypeError("not a text or number")
    return f"{value:f}" if isinstance(value, Decimal) else str(value)
