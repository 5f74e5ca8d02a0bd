"""An invoice as the command line and the API show it (contract section 4)."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from billing.invoicing.line_taxes import TaxSum
from billing.invoicing.queries import InvoiceDetail, InvoiceRow, LineRow, tax_table
from kernel.ids import public_id
from kernel.money import Money, total
from kernel.period import Period


def invoice_document(detail: InvoiceDetail) -> dict[str, Any]:
    """The whole invoice: amounts and quantities as strings, instants in the invoice's zone.

    One that consolidates several subscriptions has `sections`.
    """
    zone = detail.invoice.zone
    sections = [_section(detail, places) for places in detail.sections]
    return {
        **invoice_summary(detail.invoice),
        "taxes": [_tax(each) for each in tax_table(detail.lines, currency=detail.invoice.currency)],
        "lines": [_line(line, zone) for line in detail.lines],
        **({"sections": sections} if sections else {}),
    }


def _section(detail: InvoiceDetail, places: Sequence[int]) -> dict[str, Any]:
    lines = [detail.lines[place] for place in places]
    return {
        "plan": lines[-1].plan_key,
        "lines": [place + 1 for place in places],
        "subtotal": _amount(
            total((line.amount for line in lines), currency=detail.invoice.currency)
        ),
    }


def invoice_summary(row: InvoiceRow) -> dict[str, Any]:
    """An invoice without its lines, as lists show it."""
    zone = row.zone
    return {
        "id": public_id("inv", row.id),
        "number": row.number or None,
        "tenant": row.tenant_key,
        "kind": row.kind.value,
        "status": row.status.value,
        "issued_at": _instant(row.issued_at, zone),
        "due_on": row.due_on.isoformat() if row.due_on else None,
        "period": _period(row.period, zone),
        "currency": row.currency,
        "subtotal": _amount(row.subtotal),
        "discount_total": _amount(row.discount),
        "tax_total": _amount(row.tax),
        "total": _amount(row.total),
        "due": _amount(row.due),
    }


def _line(line: LineRow, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "key": line.key,
        "kind": line.kind,
        "app": line.app_key or None,
        "description": line.description,
        "quantity": plain(line.quantity),
        "unit_price": None if line.unit_price is None else plain(line.unit_price),
        "amount": _amount(line.amount),
        "discount": _amount(line.discount),
        "taxable": _amount(line.taxable),
        "tax_percent": plain(line.tax_percent),
        "tax_code": line.tax_code,
        "tax": _amount(line.tax),
        "period": _period(line.period, zone),
        "explanation": line.explanation,
    }


def why_this_price(line: LineRow) -> dict[str, Any]:
    """Which text the line's price comes from: plan, version and its date, the price's wording, and
    the contract's clause where that stands in its place."""
    return {
        "plan": line.plan_key or None,
        "version": line.plan_version,
        "effective_from": line.effective_from.isoformat() if line.effective_from else None,
        "terms": line.explanation.get("terms"),
        "override": line.explanation.get("override"),
    }


def _tax(each: TaxSum) -> dict[str, Any]:
    return {
        "percent": plain(each.tax.percent),
        "code": each.tax.code.value,
        "taxable": _amount(each.taxable),
        "tax": _amount(each.amount),
        "text": dict(each.tax.text),
    }


def plain(number: Decimal) -> str:
    """A decimal without needless zeros or an exponent: 35, 0.5."""
    return f"{number.normalize():f}"


def _amount(money: Money) -> str:
    return f"{money.amount:f}"


def _instant(instant: datetime | None, zone: ZoneInfo) -> str | None:
    return None if instant is None else instant.astimezone(zone).isoformat()


def _period(period: Period, zone: ZoneInfo) -> dict[str, str | None]:
    return {
        "starts_at": _instant(period.starts_at, zone),
        "ends_at": _instant(period.ends_at, zone),
    }
