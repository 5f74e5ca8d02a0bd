"""The tax of each rated line; a line whose period spans a change of its tax is split by days. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from billing.rating.lines import RatedLine
from billing.rating.terms import PlanTerms, TaxTerms
from billing.taxes.domain.rules import NO_TAX, LineTax, TaxCode, Taxing
from kernel.allocation import allocate
from kernel.money import Money, total
from kernel.period import Period


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxSum:
    """Tax of one rate on a document: what it is worked out from and what it comes to."""

    tax: LineTax
    taxable: Money
    amount: Money


def taxed(
    line: RatedLine, *, terms: PlanTerms, taxing: Taxing, zone: ZoneInfo
) -> list[tuple[RatedLine, LineTax]]:
    """`taxed_by` what the plan and its price say."""
    return taxed_by(line, price=terms.tax_of(line.key), plan=terms.tax, taxing=taxing, zone=zone)


def taxed_by(
    line: RatedLine, *, price: TaxTerms, plan: TaxTerms, taxing: Taxing, zone: ZoneInfo
) -> list[tuple[RatedLine, LineTax]]:
    """The line with its tax; of a period with a dated change of it, a part for each rate.

    The parts are in proportion to their days of the period, by largest remainder, so that they sum
    to the line; each has its own period. Raises Invalid as `Taxing.tax_on`.
    """
    first, end = line.period.first_day(zone), line.period.end_day(zone)
    parts = taxing.taxes_over(first, end, price=price, plan=plan)
    if len(parts) == 1:
        return [(line, parts[0][0])]
    days = [(ends_on - starts_on).days for _, starts_on, ends_on in parts]
    amounts = allocate(line.amount, days)
    taken = [allocate(each.amount, days) for each in line.discounts]
    return [
        (
            replace(
                line,
                amount=amount,
                discounts=tuple(
                    replace(each, amount=parts_of[place])
                    for each, parts_of in zip(line.discounts, taken, strict=True)
                ),
                # Quantity and price are those of the whole.
                unit_price=None,
                period=Period.of_days(starts_on, ends_on, zone),
                explanation={
                    **line.explanation,
                    "tax_split": {
                        "of": f"{line.amount.amount:f}",
                        "days": f"{share}/{sum(days)}",
                        "amount": f"{amount.amount:f}",
                    },
                },
            ),
            tax,
        )
        for place, ((tax, starts_on, ends_on), share, amount) in enumerate(
            zip(parts, days, amounts, strict=True)
        )
    ]


def stored_tax(*, percent: Decimal, code: str, explanation: Mapping[str, Any]) -> LineTax:
    """The tax that a stored line says of itself."""
    told = explanation.get("tax") or {}
    return LineTax(
        percent=percent,
        code=TaxCode(code),
        said_by=told.get("said_by", ""),
        category=told.get("category", ""),
        jurisdiction=told.get("jurisdiction", ""),
        supply=told.get("supply", ""),
        text=told.get("text", {}),
    )


def told_tax(explanation: Mapping[str, Any]) -> LineTax:
    """The tax that a line's explanation tells of; none where it tells of none."""
    told = explanation.get("tax")
    if not told:
        return NO_TAX
    return stored_tax(percent=Decimal(told["percent"]), code=told["code"], explanation=explanation)


def tax_sums(lines: Iterable[tuple[LineTax, Money, Money]], *, currency: str) -> tuple[TaxSum, ...]:
    """(tax, taxable, tax amount) of lines → one sum for each rate that says something, in the
    order in which they come."""
    groups: dict[tuple[object, ...], list[tuple[LineTax, Money, Money]]] = {}
    for each in lines:
        if each[0].code is not TaxCode.NONE or each[0].text:
            key = (
                each[0].percent,
                each[0].code,
                each[0].jurisdiction,
                tuple(sorted(each[0].text.items())),
            )
            groups.setdefault(key, []).append(each)
    return tuple(
        TaxSum(
            tax=group[0][0],
            taxable=total((taxable for _, taxable, _ in group), currency=currency),
            amount=total((amount for _, _, amount in group), currency=currency),
        )
        for group in groups.values()
    )
