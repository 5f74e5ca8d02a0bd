"""Taxes of lines: parts sum to the whole, and what goes back never exceeds what was charged."""

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from billing.catalog.domain import parse_plan
from billing.invoicing.creditable import CreditableLine, credited_taxes
from billing.invoicing.line_taxes import taxed
from billing.rating.adjustments.document import NetLine, settle
from billing.rating.adjustments.tax import TaxRounding
from billing.rating.lines import LineKind, RatedLine
from billing.taxes.domain.rules import LineTax, Rate, Supply, TaxCode, Taxing
from kernel.money import Money, total
from kernel.period import Period

ZONE = ZoneInfo("Europe/Berlin")
TERMS = parse_plan(
    {
        "key": "p",
        "currency": "EUR",
        "tax_category": "it",
        "prices": [{"key": "base", "model": "flat", "amount": "1"}],
    },
    known_meters=None,
)
minors = st.integers(-(10**9), 10**9)
percents = st.sampled_from([Decimal(each) for each in ("6", "9", "16", "19", "5.5", "21")])
roundings = st.sampled_from(list(TaxRounding))


def a_line(minor: int, first: date, days: int) -> RatedLine:
    amount = Money(minor, "EUR")
    return RatedLine(
        key="base",
        kind=LineKind.RECURRING,
        description="base",
        phrase="recurring",
        params={"price": "base"},
        quantity=Decimal(1),
        unit_price=amount.amount,
        exact=Fraction(amount.amount),
        amount=amount,
        period=Period.of_days(first, first + timedelta(days=days), ZONE),
        app_key=None,
        explanation={},
    )


@given(
    minor=minors,
    days=st.integers(1, 400),
    cuts=st.lists(st.integers(-50, 450), max_size=4, unique=True),
    rates=st.lists(percents, min_size=5, max_size=5),
)
def test_a_split_line_sums_to_the_line(
    minor: int, days: int, cuts: list[int], rates: list[Decimal]
) -> None:
    first = date(2020, 2, 20)
    bounds = [date(2000, 1, 1), *(first + timedelta(days=cut) for cut in sorted(cuts))]
    taxing = Taxing(
        seller_country="DE",
        rates=[
            Rate(
                jurisdiction="DE",
                category="it",
                supply=Supply.DOMESTIC,
                code=TaxCode.STANDARD,
                percent=percent,
                valid_from=start,
                valid_to=end,
            )
            for start, end, percent in zip(bounds, [*bounds[1:], None], rates, strict=False)
        ],
    )
    line = a_line(minor, first, days)
    parts = taxed(line, terms=TERMS, taxing=taxing, zone=ZONE)
    assert total((part.amount for part, _ in parts), currency="EUR") == line.amount
    assert parts[0][0].period.starts_at == line.period.starts_at
    assert parts[-1][0].period.ends_at == line.period.ends_at
    for (before, tax), (after, following) in pairwise(parts):
        assert before.period.ends_at == after.period.starts_at
        assert tax.percent != following.percent
    for part, tax in parts:
        assert tax == taxing.tax_on(part.period.first_day(ZONE), plan=TERMS.tax)


@given(lines=st.lists(st.tuples(minors, percents), min_size=1, max_size=6), rounding=roundings)
def test_a_mirrored_document_has_mirrored_taxes(
    lines: list[tuple[int, Decimal]], rounding: TaxRounding
) -> None:
    def settled(sign: int) -> list[int]:
        nets = [
            NetLine(key=str(index), amount=Money(sign * minor, "EUR"), tax_percent=percent)
            for index, (minor, percent) in enumerate(lines)
        ]
        found = settle(nets, currency="EUR", tax_rounding=rounding)
        return [line.tax.minor for line in found.lines]

    assert settled(-1) == [-tax for tax in settled(1)]


@given(
    nets=st.lists(st.integers(1, 10**6), min_size=1, max_size=5),
    percent=percents,
    parts=st.lists(st.integers(1, 100), min_size=1, max_size=5),
    rounding=roundings,
)
def test_credits_of_an_invoice_end_at_its_tax_and_are_never_above_it(
    nets: list[int], percent: Decimal, parts: list[int], rounding: TaxRounding
) -> None:
    """Each note takes a share of what is left of every line; the last one takes the rest."""
    settled = settle(
        [
            NetLine(key=str(index), amount=Money(net, "EUR"), tax_percent=percent)
            for index, net in enumerate(nets)
        ],
        currency="EUR",
        tax_rounding=rounding,
    )
    tax = LineTax(percent=percent, code=TaxCode.STANDARD, said_by="plan")
    left = [(line.taxable, line.tax) for line in settled.lines]
    for share in [*parts, 100]:
        taken = [Money(net.minor * share // 100, "EUR") for net, _ in left]
        taxes = credited_taxes(
            list(enumerate(taken, start=1)),
            lines=[
                CreditableLine(group=position, position=position, net=net, tax=rest, tax_terms=tax)
                for position, (net, rest) in enumerate(left, start=1)
            ],
            rounding=rounding,
            currency="EUR",
        )
        left = [
            (net - gone, rest - back)
            for (net, rest), gone, back in zip(left, taken, taxes, strict=True)
        ]
        assert all(rest.minor >= 0 for _, rest in left)
    assert left == [(Money(0, "EUR"), Money(0, "EUR"))] * len(nets)
