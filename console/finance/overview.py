"""The first page: what is billed, owed and overdue, and who the tenants are."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.http import HttpResponse
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from billing.invoicing.invoice_requests import request_rows
from billing.invoicing.listings import draft_count
from billing.invoicing.receivables import BilledMonth, Receivables, billed_months, receivables
from billing.invoicing.run_listings import run_rows
from billing.invoicing.uninvoiced import uninvoiced_count
from console.access import StaffRequest, staff_page
from console.frame import page
from kernel import clock
from kernel.money import Money
from tenants.permissions import StaffAction
from tenants.queries import tenant_counts
from ui import formats
from ui.charts import Figure, Series, Shape

_MONTHS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """One currency: what was invoiced this month and in the one before, and what is owed."""

    currency: str
    billed: Money
    billed_before: Money
    owed: Receivables | None


@staff_page(action=StaffAction.OVERVIEW_VIEW, purpose="overview")
def overview(request: StaffRequest) -> HttpResponse:
    """Money per currency, never converted into each other."""
    now = clock.now()
    months = billed_months(since=_months_before(now.date(), _MONTHS - 1))
    counts = tenant_counts()
    recent = run_rows(limit=5)
    return page(
        request,
        "console/overview.html",
        place="overview",
        positions=_positions(
            months, owed=receivables(now=now), this_month=now.date().replace(day=1)
        ),
        figures=_figures(months),
        tenant_counts=[(status.value, count) for status, count in counts.items() if count],
        tenants=sum(counts.values()),
        drafts=draft_count(),
        runs=recent.rows,
        uninvoiced=uninvoiced_count(now=now),
        waiting=request_rows(state="waiting", limit=5),
        now=now,
    )


def _positions(
    months: Sequence[BilledMonth], *, owed: Sequence[Receivables], this_month: date
) -> list[Position]:
    by_currency = {money.currency: money for money in owed}
    billed = {(month.billed.currency, month.month): month.billed for month in months}
    before = _months_before(this_month, 1)
    currencies = sorted(
        {*by_currency, *(code for code, month in billed if month in {before, this_month})}
    )
    return [
        Position(
            currency=code,
            billed=billed.get((code, this_month), Money.zero(code)),
            billed_before=billed.get((code, before), Money.zero(code)),
            owed=by_currency.get(code),
        )
        for code in currencies
    ]


def _months_before(day: date, count: int) -> date:
    index = day.year * 12 + day.month - 1 - count
    return date(index // 12, index % 12 + 1, 1)


def _figures(months: Sequence[BilledMonth]) -> list[Figure]:
    """One chart a currency: what was invoiced each month, and how much of it is paid by now."""
    language = get_language() or "en"
    by_currency: dict[str, dict[date, BilledMonth]] = defaultdict(dict)
    for month in months:
        by_currency[month.billed.currency][month.month] = month
    figures = []
    for currency, known in by_currency.items():
        first, last = min(known), max(known)
        span = [
            _months_before(last, back)
            for back in range((last.year - first.year) * 12 + last.month - first.month, -1, -1)
        ]
        none = Money.zero(currency)
        paid = [known[month].paid if month in known else none for month in span]
        billed = [known[month].billed if month in known else none for month in span]
        unpaid = [whole - part for whole, part in zip(billed, paid, strict=True)]
        figures.append(
            Figure(
                key=f"billed-{currency.lower()}",
                title=_("Invoiced by month, %(currency)s") % {"currency": currency},
                points=[formats.month_text(month, language=language) for month in span],
                ticks=[formats.short_month_text(month, language=language) for month in span],
                points_label=_("Month"),
                series=[
                    _money_series(_("Paid"), paid, language=language),
                    _money_series(_("Not yet paid"), unpaid, language=language),
                ],
                shape=Shape.STACKED,
            )
        )
    return figures


def _money_series(label: str, amounts: Sequence[Money], *, language: str) -> Series:
    values: list[Decimal] = [amount.amount for amount in amounts]
    return Series(
        label=label,
        values=values,
        texts=[formats.money_text(amount, language=language) for amount in amounts],
    )
