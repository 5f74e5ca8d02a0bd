"""An amount opened up: from the stored working of an invoice line to steps that a person can follow.

The working is the JSON that rating wrote (numbers as texts, days as YYYY-MM-DD); nothing is computed
again here, so what the page says is what was billed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Protocol

from django.utils.translation import get_language
from django.utils.translation import gettext as _

from kernel.money import Money
from kernel.period import Period
from ui import formats, words
from ui.cells import Text


class BilledLine(Protocol):
    """What a line must tell to be shown."""

    @property
    def position(self) -> int: ...
    @property
    def key(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def timing(self) -> str: ...
    @property
    def app_key(self) -> str: ...
    @property
    def quantity(self) -> Decimal: ...
    @property
    def unit_price(self) -> Decimal | None: ...
    @property
    def amount(self) -> Money: ...
    @property
    def discount(self) -> Money: ...
    @property
    def tax(self) -> Money: ...
    @property
    def period(self) -> Period: ...
    @property
    def plan_key(self) -> str: ...
    @property
    def plan_version(self) -> int | None: ...
    @property
    def plan_effective_from(self) -> date | None: ...
    @property
    def explanation(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TierStep:
    """One tier, or one package or unit price, that the quantity reached."""

    tier: int
    quantity: str
    unit_price: str
    flat_fee: str
    amount: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DayStep:
    """A local day's value; `decides` when the period's quantity is this day's."""

    day: date
    value: str
    decides: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AppDays:
    """The days of one app, or of all together where `app` is empty."""

    app: str
    value: str
    days: Sequence[DayStep]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """What a contract says of a price instead of the plan, and from when to when."""

    text: str
    reference: str
    starts_on: date
    ends_on: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownLine:
    """A line as the pages show it: its name, amount, and the steps that lead to it."""

    position: int
    title: str
    app_key: str
    meter: str
    """What is counted; empty where nothing is."""
    note: str
    quantity: str
    unit_price: str
    amount: Money
    period: Period
    plan_key: str
    plan_version: int | None
    plan_effective_from: date | None
    clause: Clause | None
    model: Text
    steps: Sequence[str]
    tiers: Sequence[TierStep]
    apps: Sequence[AppDays]
    bounded: Sequence[tuple[str, str]]

    @property
    def has_deciding_day(self) -> bool:
        return any(day.decides for app in self.apps for day in app.days)


def shown_line(line: BilledLine) -> ShownLine:
    """The line with its working in the reader's language."""
    adjusts: Mapping[str, Any] = line.explanation.get("adjusts") or {}
    # An adjustment keeps the working of the rating that it brings about under a name of its own.
    working = line.explanation["working"] if adjusts else line.explanation
    language = get_language() or "en"
    reading = _Reading(
        working=working, currency=line.amount.currency, language=language, adjusts=adjusts
    )
    return ShownLine(
        position=line.position,
        title=_title(line),
        app_key=line.app_key,
        meter=str(reading.aggregation.get("meter", "")),
        note=reading.note(line),
        quantity=formats.short_quantity_text(line.quantity, language=language),
        unit_price=""
        if line.unit_price is None
        else formats.price_text(line.unit_price, line.amount.currency, language=language),
        amount=line.amount,
        period=line.period,
        plan_key=line.plan_key,
        plan_version=line.plan_version,
        plan_effective_from=line.plan_effective_from,
        clause=_clause(working.get("override")),
        model=words.word("model", str(working.get("model", ""))),
        steps=tuple(reading.steps(line)),
        tiers=tuple(reading.tiers()),
        apps=tuple(reading.apps()),
        bounded=tuple(reading.bounded()),
    )


def _clause(told: Mapping[str, Any] | None) -> Clause | None:
    if not told:
        return None
    return Clause(
        text=str(told.get("clause", "")),
        reference=str(told.get("reference", "")),
        starts_on=date.fromisoformat(told["starts_on"]),
        ends_on=date.fromisoformat(told["ends_on"]) if told.get("ends_on") else None,
    )


def _title(line: BilledLine) -> str:
    by_hand = line.explanation.get("by_hand")
    if by_hand:
        return _told_in(by_hand["description"], get_language() or "en")
    adjusts = line.explanation.get("adjusts") or {}
    working = line.explanation["working"] if adjusts else line.explanation
    meter = (working.get("aggregation") or {}).get("meter")
    name = str(words.word("meter", meter) if meter else words.name_of("price", line.key))
    if line.key == "plan:minimum":
        name = _("Up to the plan's minimum")
    elif line.key == "plan:maximum":
        name = _("Down to the plan's maximum")
    elif "true_up" in {line.kind, adjusts.get("kind")}:
        name = _("%(name)s: up to the agreed minimum") % {"name": name}
    if adjusts:
        name = _("Late usage: %(name)s") % {"name": name}
    return f"{name} · {line.app_key}" if line.app_key else name


def _told_in(texts: Mapping[str, str], language: str) -> str:
    """What staff wrote of a line, in the reader's language where it was written in it."""
    wanted = "zh-hans" if language.startswith("zh") else "en"
    return texts.get(wanted) or texts.get("en") or next(iter(texts.values()))


class _Reading:
    def __init__(
        self,
        *,
        working: Mapping[str, Any],
        currency: str,
        language: str,
        adjusts: Mapping[str, Any],
    ) -> None:
        self.working = working
        self.adjusts = adjusts
        self.currency = currency
        self.language = language
        self.aggregation: Mapping[str, Any] = working.get("aggregation") or {}

    def note(self, line: BilledLine) -> str:
        if self.adjusts:
            return self._instead()
        parts = []
        if self.aggregation:
            parts.append(self._aggregated(value=self._short(self.aggregation.get("value", "0"))))
        elif line.kind == "recurring":
            parts.append(
                _("Recurring fee, in advance")
                if line.timing == "in_advance"
                else _("Recurring fee, in arrears")
            )
        elif line.kind == "credit":
            parts.append(_("Unused part of %(plan)s") % {"plan": line.plan_key})
        elif "by_hand" in self.working:
            parts.append(str(words.word("invoice_kind", str(self.working["by_hand"]["kind"]))))
        if "included" in self.working:
            parts.append(
                _("%(quantity)s included") % {"quantity": self._short(self.working["included"])}
            )
        if self._is_part():
            parts.append(_("%(share)s of the period") % {"share": self.working["proration"]})
        return " · ".join(parts)

    def steps(self, line: BilledLine) -> Iterator[str]:
        working = self.working
        yield from self._adjusted()
        yield from self._by_hand(line)
        if self.aggregation:
            yield self._aggregated(value=self._number(self.aggregation.get("value", "0")))
        if "converted" in working:
            yield _("Converted to the price's unit: %(quantity)s") % {
                "quantity": self._quantity("converted")
            }
        if "included" in working:
            yield _("%(included)s of it included, so %(rest)s to be paid for") % {
                "included": self._quantity("included"),
                "rest": self._quantity("quantity"),
            }
        charge_lines = working.get("lines") or []
        if "charge" in working:
            if working.get("model") == "package":
                yield self._packed(charge_lines)
            for each in charge_lines:
                yield self._charged(each, several=len(charge_lines) > 1)
            if len(charge_lines) > 1:
                yield _("Together %(amount)s") % {"amount": self._price(working["charge"])}
        held = working.get("held")
        if held not in {None, "1"}:
            yield _("Held %(count)s times") % {"count": self._number(held)}
        if self._is_part():
            yield _("Times %(share)s, the served share of the period") % {
                "share": working["proration"]
            }
        yield from self._discounts()
        is_less = bool(working.get("discounts") or working.get("after_discounts"))
        if "maximum" in working and "exact" in working:
            at_most = (
                _("At most %(amount)s after discounts") if is_less else _("At most %(amount)s")
            )
            yield at_most % {"amount": self._price(working["maximum"])}
        if "minimum" in working and "exact" in working:
            at_least = (
                _("At least %(amount)s after discounts; missing to it: %(rest)s")
                if is_less
                else _("At least %(amount)s; missing to it: %(rest)s")
            )
            yield at_least % {
                "amount": self._price(working["minimum"]),
                "rest": self._price(working.get("true_up", "0")),
            }
        if "max_of" in working:
            yield _("The dearest of these prices is billed: %(prices)s") % {
                "prices": ", ".join(
                    f"{key} {self._price(amount)}" for key, amount in working["max_of"].items()
                )
            }
        if "exact" in working:
            exactly = (
                _("Before discounts exactly %(exact)s, rounded half away from zero: %(amount)s")
                if working.get("discounts")
                else _("Exactly %(exact)s, rounded half away from zero: %(amount)s")
            )
            yield exactly % {
                "exact": self._price(working["exact"]),
                "amount": self._money(self.adjusts["rated"])
                if self.adjusts
                else formats.money_text(self._whole(line.amount), language=self.language),
            }
        yield from self._settled(line)

    def _by_hand(self, line: BilledLine) -> Iterator[str]:
        """What staff wrote down, or what a commitment misses; the exact amount and the tax follow."""
        told = self.working.get("by_hand")
        if not told:
            return
        if "unit_price" in told and told["quantity"] != "1":
            yield _("%(quantity)s × %(price)s") % {
                "quantity": self._number(told["quantity"]),
                "price": self._price(told["unit_price"]),
            }
        commitment = told.get("commitment")
        if commitment:
            yield _("Committed for the period: %(amount)s") % {
                "amount": self._money(commitment["committed"])
            }
            for each in commitment["documents"]:
                yield f"{each['number']} · {self._money(each['net'])}"
            yield _("Billed for it, before tax: %(amount)s") % {
                "amount": self._money(commitment["billed"])
            }
        if line.timing == "in_advance":
            yield _("Revenue in equal parts over the days of the service")

    def _discounts(self) -> Iterator[str]:
        """Each discount in its order; bounds come after them."""
        for each in self.working.get("discounts") or self.working.get("after_discounts") or ():
            match each["type"]:
                case "percentage":
                    off = _("%(percent)s %%") % {"percent": self._number(each["value"])}
                case "usage":
                    off = _("%(quantity)s free") % {"quantity": self._number(each["value"])}
                case _:
                    off = _("%(amount)s a period") % {"amount": self._price(each["value"])}
            yield _("Discount %(name)s (%(off)s): %(amount)s off") % {
                "name": each["name"],
                "off": off,
                "amount": self._money(each["amount"]),
            }

    def _whole(self, amount: Money) -> Money:
        """The amount of which a dated change of tax made the line a part."""
        split = self.working.get("tax_split")
        return Money.of(split["of"], self.currency) if split else amount

    def _settled(self, line: BilledLine) -> Iterator[str]:
        """What is done to the rounded amount: a split by days, discount, tax."""
        split = self.working.get("tax_split")
        if split and not self.adjusts:
            yield _("%(share)s of the days, as tax changes within the period: %(amount)s") % {
                "share": split["days"],
                "amount": formats.money_text(line.amount, language=self.language),
            }
        net = line.amount - line.discount
        if line.discount:
            yield _("Less discounts of %(discount)s: %(amount)s") % {
                "discount": formats.money_text(line.discount, language=self.language),
                "amount": formats.money_text(net, language=self.language),
            }
        told = line.explanation.get("tax")
        if told and told.get("code") == "standard":
            yield _("Tax %(percent)s %% of %(net)s: %(tax)s") % {
                "percent": self._number(told["percent"]),
                "net": formats.money_text(net, language=self.language),
                "tax": formats.money_text(line.tax, language=self.language),
            }
        elif told:
            yield str(words.word("tax_code", str(told.get("code"))))

    def tiers(self) -> Iterator[TierStep]:
        for each in self.working.get("lines") or []:
            if "tier" in each:
                yield TierStep(
                    tier=each["tier"],
                    quantity=self._number(each["quantity"]),
                    unit_price=self._price(each["unit_price"]),
                    flat_fee=self._price(each["flat_fee"]),
                    amount=self._price(each["amount"]),
                )

    def apps(self) -> Iterator[AppDays]:
        if "days" in self.aggregation:
            yield self._days("", self.aggregation, value=self.aggregation.get("value", "0"))
        elif isinstance(self.aggregation.get("apps"), dict):
            for app, told in self.aggregation["apps"].items():
                yield self._days(app, told, value=told.get("value", "0"))

    def bounded(self) -> Iterator[tuple[str, str]]:
        for each in self.working.get("lines") or []:
            if "price" in each:
                name = f"{each['price']} · {each['app']}" if each.get("app") else each["price"]
                yield name, self._price(each["amount"])

    def _days(self, app: str, told: Mapping[str, Any], *, value: str) -> AppDays:
        decided = set(told.get("decided_by") or [])
        return AppDays(
            app=app,
            value=self._number(value),
            days=tuple(
                DayStep(
                    day=date.fromisoformat(day), value=self._number(number), decides=day in decided
                )
                for day, number in sorted((told.get("days") or {}).items())
            ),
        )

    def _aggregated(self, *, value: str) -> str:
        told = self.aggregation
        decided = told.get("decided_by") or []
        name = told.get("name")
        if name in {"max_day", "kth_max_day", "p95_day"} and decided:
            values = {
                "value": value,
                "day": formats.date_text(date.fromisoformat(decided[0]), language=self.language),
                "k": told.get("k", "1"),
            }
            if name == "max_day":
                return _("Highest day: %(value)s on %(day)s") % values
            if name == "kth_max_day":
                return _("Highest day no. %(k)s: %(value)s on %(day)s") % values
            return _("95th percentile of the days: %(value)s on %(day)s") % values
        days = {"value": value, "days": told.get("day_count", "")}
        if name == "sum_days":
            return _("Sum of %(days)s days: %(value)s") % days
        if name == "mean_day":
            return _("Mean of %(days)s days: %(value)s") % days
        if name == "kth_max_day":  # fewer days than k have usage
            return _("Highest day no. %(k)s: %(value)s") % {"k": told.get("k", "1"), "value": value}
        return _("%(name)s: %(value)s") % {
            "name": words.word("aggregation", str(name)),
            "value": value,
        }

    def _adjusted(self) -> Iterator[str]:
        """What was billed before and which days changed; then follows how the new amount comes about."""
        adjusts = self.adjusts
        if not adjusts:
            return
        yield self._instead()
        before, now = (self._number(adjusts[f"quantity_{when}"]) for when in ("before", "now"))
        if before != now:
            yield _("Quantity %(before)s before, %(now)s now") % {"before": before, "now": now}
        for day, change in sorted((adjusts.get("days") or {}).items()):
            apps = {"": change} if "now" in change else change
            for app, values in sorted(apps.items()):
                told = {
                    "day": formats.date_text(date.fromisoformat(day), language=self.language),
                    "before": self._number(values["before"]),
                    "now": self._number(values["now"]),
                }
                text = _("%(day)s: %(before)s before, %(now)s now") % told
                yield f"{app} · {text}" if app else text
        if "credited" in adjusts:
            yield _("%(amount)s of it was credited already and is not given back again") % {
                "amount": self._money(adjusts["credited"])
            }

    def _instead(self) -> str:
        values = {
            "rated": self._money(self.adjusts["rated"]),
            "billed": self._money(self.adjusts["billed"]),
            "invoice": self.adjusts["invoice"],
        }
        if self.adjusts["invoice"]:
            return _("%(rated)s due instead of %(billed)s on %(invoice)s") % values
        return _("%(rated)s due where nothing had been billed") % values

    def _money(self, text: str) -> str:
        return formats.money_text(Money.of(text, self.currency), language=self.language)

    def _charged(self, each: Mapping[str, Any], *, several: bool) -> str:
        values = {
            "tier": each["tier"],
            "quantity": self._number(each["quantity"]),
            "price": self._price(each["unit_price"]),
            "fee": self._price(each["flat_fee"]),
            "amount": self._price(each["amount"]),
        }
        has_price = Decimal(each["unit_price"]) != 0
        has_fee = Decimal(each["flat_fee"]) != 0
        if has_price and has_fee:
            text = _("%(quantity)s × %(price)s + %(fee)s = %(amount)s") % values
        elif has_fee:
            text = _("Fee %(fee)s") % values
        else:
            text = _("%(quantity)s × %(price)s = %(amount)s") % values
        return _("Tier %(tier)s: %(text)s") % {**values, "text": text} if several else text

    def _is_part(self) -> bool:
        part, _slash, whole = str(self.working.get("proration", "")).partition("/")
        return bool(self.working.get("prorated")) and part != whole

    def _packed(self, charge_lines: Sequence[Mapping[str, Any]]) -> str:
        terms = self.working.get("terms") or {}
        values = {
            "size": self._number(str(terms.get("package_size", "1"))),
            "count": self._number(charge_lines[0]["quantity"]) if charge_lines else "0",
        }
        if terms.get("package_rounding") == "down":
            return _("In packages of %(size)s: %(count)s full ones") % values
        return _("In packages of %(size)s: %(count)s started ones") % values

    def _quantity(self, name: str) -> str:
        return self._number(self.working.get(name, "0"))

    def _number(self, text: str) -> str:
        return formats.quantity_text(Decimal(text), language=self.language)

    def _short(self, text: str) -> str:
        return formats.short_quantity_text(Decimal(text), language=self.language)

    def _price(self, text: str) -> str:
        return formats.price_text(Decimal(text), self.currency, language=self.language)
