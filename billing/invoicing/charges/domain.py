"""What a charge says, read from its document, and the content of the invoice that it becomes. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final
from zoneinfo import ZoneInfo

from billing.invoicing.domain import InvoiceKind
from billing.invoicing.drafting import Draft, DraftLine
from billing.invoicing.line_taxes import taxed_by
from billing.rating.lines import LineKind, RatedLine
from billing.rating.terms import TaxTerms, Timing
from billing.taxes.domain.rules import NO_TAX, Taxing
from kernel.currencies import exponent
from kernel.decimals import exact, parse_decimal, plain_text
from kernel.errors import Invalid
from kernel.money import Money, round_amount
from kernel.period import Period, local_day

BY_HAND: Final = (
    InvoiceKind.ONE_OFF,
    InvoiceKind.MILESTONE,
    InvoiceKind.LICENCE,
    InvoiceKind.TRUE_UP,
)
"""The kinds that staff drafts."""

MOST_LINES: Final = 100
MOST_DAYS_TO_PAY: Final = 365
LONGEST_DESCRIPTION: Final = 280
LONGEST_SERVICE: Final = timedelta(days=3660)
_LANGUAGES: Final = ("en", "zh-hans")
_MOST_PERCENT: Final = Decimal(100)


NOT_BILLED: Final = "commitment_not_billed"
"""Told of a true-up that waits for what is still to be issued of its days; nothing is wrong with it."""


class ChargeState(StrEnum):
    DRAFT = "draft"
    """It can be changed, and waits for its date or for somebody who issues it."""
    ISSUED = "issued"
    """It became an invoice."""
    NOTHING_DUE = "nothing_due"
    """A true-up of a commitment that was reached: there is nothing to bill, and no invoice."""


class Recognised(StrEnum):
    """When a line is revenue."""

    AT_ONCE = "at_once"
    OVER_PERIOD = "over_period"
    """In equal parts over the days of its service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeLine:
    """What one line asks for; exactly one of `unit_price`, `amount` and `commitment` is given.

    `descriptions` by language; `starts_on` to before `ends_on` are the days of service, in the tenant's
    zone (None: the day of issue). `commitment` is what was to be billed for those days, before tax.
    """

    descriptions: Mapping[str, str]
    quantity: Decimal = Decimal(1)
    unit_price: Decimal | None = None
    amount: Money | None = None
    commitment: Money | None = None
    starts_on: date | None = None
    ends_on: date | None = None
    recognised: Recognised = Recognised.AT_ONCE
    tax: TaxTerms = field(default_factory=TaxTerms)

    @property
    def document(self) -> dict[str, Any]:
        """The same for storing and for the API; every figure is a text."""
        told: dict[str, Any] = {"description": dict(self.descriptions)}
        if self.commitment is not None:
            told["commitment"] = f"{self.commitment.amount:f}"
        elif self.unit_price is not None:
            told |= {
                "quantity": plain_text(self.quantity),
                "unit_price": plain_text(self.unit_price),
            }
        elif self.amount is not None:
            told["amount"] = f"{self.amount.amount:f}"
        if self.starts_on is not None and self.ends_on is not None:
            told |= {"starts_on": self.starts_on.isoformat(), "ends_on": self.ends_on.isoformat()}
        told["recognised"] = self.recognised.value
        if self.tax.percent is not None:
            told["tax_percent"] = plain_text(self.tax.percent)
        if self.tax.category:
            told["tax_category"] = self.tax.category
        return told


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What one document, by its number, billed of the days of a commitment, before tax."""

    number: str
    net: Money


def read_lines(
    documents: Sequence[Mapping[str, Any]], *, kind: InvoiceKind, currency: str
) -> tuple[ChargeLine, ...]:
    """The lines that the documents ask for.

    Raises Invalid, with the field's path, for the first fault: `no_lines`, `too_many_lines`,
    `unknown_field`, `no_description`, `text_too_long`, `one_of_amounts`, `amount_not_positive`, `invalid_date`,
    `no_service_days`, `service_ends_before`, `service_too_long`, `recognised_by_kind`, `percent_and_category`,
    `out_of_range`, and those of `kernel.decimals.parse_decimal` and `kernel.currencies.exponent`.
    """
    exponent(currency)
    if not documents:
        raise Invalid("no_lines", "lines is empty; write at least one.", field="lines")
    if len(documents) > MOST_LINES:
        raise Invalid(
            "too_many_lines",
            f"lines has more than {MOST_LINES}; write several charges.",
            field="lines",
            params={"most": MOST_LINES},
        )
    return tuple(
        _read_line(document, kind=kind, currency=currency, path=f"lines[{place}]")
        for place, document in enumerate(documents)
    )


def draft_charge(
    *,
    kind: InvoiceKind,
    currency: str,
    lines: Sequence[ChargeLine],
    counted: Sequence[Sequence[Counted]],
    taxing: Taxing,
    zone: ZoneInfo,
    language: str,
    at: datetime,
) -> Draft:
    """The content of the invoice, issued at `at`: its lines with their taxes, those of changed rates apart.

    `counted` tells for each line what was billed of its commitment (nothing for one without). Raises
    Invalid as `Taxing.tax_on`, and where an amount is beyond what is stored.
    """
    drafted: list[DraftLine] = []
    today = local_day(at, zone)
    for line, documents in zip(lines, counted, strict=True):
        rated = _rated(
            line,
            kind=kind,
            currency=currency,
            counted=documents,
            period=_service(line, today, zone),
            language=language,
        )
        timing = (
            Timing.IN_ADVANCE if line.recognised is Recognised.OVER_PERIOD else Timing.IN_ARREARS
        )
        # Money that is paid ahead is no supply yet: what it pays later bears the tax.
        taxes = (
            [(rated, NO_TAX)]
            if kind is InvoiceKind.TOP_UP
            else taxed_by(rated, price=line.tax, plan=TaxTerms(), taxing=taxing, zone=zone)
        )
        drafted.extend(
            DraftLine(timing=timing.value, line=part, plan_version_id=None, tax=tax)
            for part, tax in taxes
        )
    periods = [each.line.period for each in drafted]
    return Draft(
        boundary_at=at,
        finalize_at=at,
        period=Period(
            min(period.starts_at for period in periods), max(period.ends_at for period in periods)
        ),
        currency=currency,
        lines=tuple(drafted),
        waits_for_usage=False,
        tax_rounding=taxing.rounding,
    )


def text_in(descriptions: Mapping[str, str], language: str) -> str:
    """The text in the language, else in English, else in the one that there is."""
    wanted = "zh-hans" if language.lower().startswith("zh") else "en"
    return descriptions.get(wanted) or descriptions.get("en") or next(iter(descriptions.values()))


def _service(line: ChargeLine, today: date, zone: ZoneInfo) -> Period:
    if line.starts_on is None or line.ends_on is None:
        return Period.of_days(today, today + timedelta(days=1), zone)
    return Period.of_days(line.starts_on, line.ends_on, zone)


def _rated(
    line: ChargeLine,
    *,
    kind: InvoiceKind,
    currency: str,
    counted: Sequence[Counted],
    period: Period,
    language: str,
) -> RatedLine:
    working: dict[str, object] = {"kind": kind.value, "description": dict(line.descriptions)}
    quantity, unit_price = line.quantity, line.unit_price
    if line.commitment is not None:
        billed = sum((each.net for each in counted), start=Money.zero(currency))
        missing = max(line.commitment - billed, Money.zero(currency))
        precise = exact(missing.amount)
        working["commitment"] = {
            "committed": f"{line.commitment.amount:f}",
            "billed": f"{billed.amount:f}",
            "documents": [
                {"number": each.number, "net": f"{each.net.amount:f}"} for each in counted
            ],
        }
        quantity, unit_price = Decimal(1), None
    elif line.amount is not None:
        precise, quantity, unit_price = exact(line.amount.amount), Decimal(1), line.amount.amount
    else:
        precise = exact(quantity) * exact(unit_price or Decimal(0))
    if unit_price is not None:
        working |= {"quantity": plain_text(quantity), "unit_price": plain_text(unit_price)}
    text = text_in(line.descriptions, language)
    line_kind = {InvoiceKind.TRUE_UP: LineKind.TRUE_UP, InvoiceKind.TOP_UP: LineKind.TOP_UP}
    return RatedLine(
        key=kind.value,
        kind=line_kind.get(kind, LineKind.CHARGE),
        description=text,
        phrase="charge",
        params={"text": text},
        quantity=quantity,
        unit_price=unit_price,
        exact=precise,
        amount=round_amount(precise, currency),
        period=period,
        app_key=None,
        explanation={"by_hand": working, "exact": plain_text(precise)},
    )


_FIELDS: Final = frozenset(
    {
        "description", "quantity", "unit_price", "amount", "commitment", "starts_on", "ends_on",
        "recognised", "tax_percent", "tax_category",
    }
)  # fmt: skip


def _read_line(
    document: Mapping[str, Any], *, kind: InvoiceKind, currency: str, path: str
) -> ChargeLine:
    if not isinstance(document, Mapping):
        raise Invalid("not_an_object", f"{path} is not an object; write {{ … }}.", field=path)
    given = {name: value for name, value in document.items() if value is not None}
    unknown = sorted(set(map(str, given)) - _FIELDS)
    if unknown:
        raise Invalid(
            "unknown_field",
            f"{path}.{unknown[0][:80]} is not known here; known are: {', '.join(sorted(_FIELDS))}.",
            field=f"{path}.{unknown[0][:80]}",
        )
    wanted = {"commitment"} if kind is InvoiceKind.TRUE_UP else {"amount", "unit_price"}
    amounts = {"amount", "unit_price", "commitment"} & set(given)
    if (
        len(amounts) != 1
        or not amounts <= wanted
        or ("quantity" in given and "unit_price" not in given)
    ):
        raise Invalid(
            "one_of_amounts",
            f"{path} needs exactly one of {' and '.join(sorted(wanted))}"
            + ("." if kind is InvoiceKind.TRUE_UP else ", and a quantity only with unit_price."),
            field=path,
        )
    starts_on, ends_on = _read_days(given, kind=kind, path=path)
    line = ChargeLine(
        descriptions=_read_descriptions(given.get("description"), path=f"{path}.description"),
        quantity=_figure(given, "quantity", path=path) if "quantity" in given else Decimal(1),
        unit_price=_figure(given, "unit_price", path=path) if "unit_price" in given else None,
        amount=_money(given, "amount", currency=currency, path=path),
        commitment=_money(given, "commitment", currency=currency, path=path),
        starts_on=starts_on,
        ends_on=ends_on,
        recognised=_read_recognised(given.get("recognised"), kind=kind, path=path),
        tax=_read_tax(given, path=path),
    )
    asked = line.commitment or line.amount
    if asked is None:
        asked = round_amount(exact(line.quantity) * exact(line.unit_price or Decimal(0)), currency)
    if asked.minor <= 0:
        raise Invalid(
            "amount_not_positive",
            f"{path} does not come to more than zero; what is given back is a credit note.",
            field=path,
        )
    return line


def _read_descriptions(value: object, *, path: str) -> dict[str, str]:
    texts = {"en": value} if isinstance(value, str) else value
    if not isinstance(texts, Mapping):
        texts = {}
    told = {
        str(language): text.strip()
        for language, text in texts.items()
        if isinstance(text, str) and text.strip()
    }
    if not told or not set(told) <= set(_LANGUAGES):
        raise Invalid(
            "no_description",
            f"{path} says nothing; write a text, or one by language: {', '.join(_LANGUAGES)}.",
            field=path,
        )
    if any(len(text) > LONGEST_DESCRIPTION for text in told.values()):
        raise Invalid(
            "text_too_long",
            f"{path} is longer than {LONGEST_DESCRIPTION} characters; shorten it.",
            field=path,
            params={"most": LONGEST_DESCRIPTION},
        )
    return told


def _read_days(
    given: Mapping[str, Any], *, kind: InvoiceKind, path: str
) -> tuple[date | None, date | None]:
    starts_on, ends_on = (_day(given, name, path=path) for name in ("starts_on", "ends_on"))
    has_to = kind in {InvoiceKind.LICENCE, InvoiceKind.TRUE_UP}
    if (starts_on is None) != (ends_on is None) or (has_to and starts_on is None):
        raise Invalid(
            "no_service_days",
            f"{path} needs starts_on and ends_on, the first day and the day after the last"
            + ("." if has_to else ", or neither for the day of issue."),
            field=f"{path}.starts_on",
        )
    if starts_on is not None and ends_on is not None:
        if ends_on <= starts_on:
            raise Invalid(
                "service_ends_before",
                f"{path}.ends_on is not after starts_on; it is the day after the last.",
                field=f"{path}.ends_on",
            )
        if ends_on - starts_on > LONGEST_SERVICE:
            raise Invalid(
                "service_too_long",
                f"{path} lasts longer than ten years; write several charges.",
                field=f"{path}.ends_on",
            )
    return starts_on, ends_on


def _day(given: Mapping[str, Any], name: str, *, path: str) -> date | None:
    value = given.get(name)
    if value is None:
        return None
    try:
        if not isinstance(value, str) or len(value) != len("2026-03-01"):
            raise ValueError
        day = date.fromisoformat(value)
    except ValueError:
        day = date.min
    if not date(2000, 1, 1) <= day <= date(2199, 12, 31):
        raise Invalid(
            "invalid_date",
            f"{path}.{name} is not a day from 2000 to 2199 as YYYY-MM-DD.",
            field=f"{path}.{name}",
        )
    return day


def _read_recognised(value: object, *, kind: InvoiceKind, path: str) -> Recognised:
    only = {InvoiceKind.LICENCE: Recognised.OVER_PERIOD, InvoiceKind.TRUE_UP: Recognised.AT_ONCE}
    usual = only.get(kind, Recognised.AT_ONCE)
    if value is None or value == usual.value:
        return usual
    if value not in set(Recognised) or kind in only:
        raise Invalid(
            "recognised_by_kind",
            f"{path}.recognised is at_once or over_period; a licence is always recognised over its "
            "period, a true-up at once.",
            field=f"{path}.recognised",
        )
    return Recognised(str(value))


def _read_tax(given: Mapping[str, Any], *, path: str) -> TaxTerms:
    percent = _figure(given, "tax_percent", path=path) if "tax_percent" in given else None
    category = str(given.get("tax_category", "")).strip()
    if percent is not None and category:
        raise Invalid(
            "percent_and_category",
            f"{path}.tax_category is given beside tax_percent; keep one of them.",
            field=f"{path}.tax_category",
        )
    if len(category) > 100 or (percent is not None and not 0 <= percent <= _MOST_PERCENT):
        raise Invalid(
            "out_of_range",
            f"{path}: a tax_percent is from 0 to 100, a tax_category of at most 100 characters.",
            field=f"{path}.tax_percent" if percent is not None else f"{path}.tax_category",
        )
    return TaxTerms(percent=percent, category=category)


def _figure(given: Mapping[str, Any], name: str, *, path: str) -> Decimal:
    number = parse_decimal(given[name], field=f"{path}.{name}")
    if number < 0:
        raise Invalid(
            "amount_not_positive",
            f"{path}.{name} is below zero; what is given back is a credit note.",
            field=f"{path}.{name}",
        )
    return number


def _money(given: Mapping[str, Any], name: str, *, currency: str, path: str) -> Money | None:
    if name not in given:
        return None
    return Money.of(given[name], currency, field=f"{path}.{name}")
