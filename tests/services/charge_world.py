"""Charges for tests: what is asked, and the rows that come of it."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from billing.invoicing.domain import DAYS_TO_PAY, InvoiceKind
from billing.invoicing.models import Invoice
from billing.invoicing.services.issue_charges import issue_charge
from billing.invoicing.services.write_charge import AskedCharge, ask_charge
from tenants.scope import system_scope
from tests.factories import NOW

SETUP: dict[str, Any] = {
    "description": {"en": "Setting up", "zh-hans": "安装部署"},
    "quantity": "3",
    "unit_price": "333.335",
}
"""3 × 333.335 is 1000.005, which rounds to 1000.01."""


def an_asked(
    *lines: Mapping[str, Any],
    kind: InvoiceKind = InvoiceKind.ONE_OFF,
    reference: str = "order-1",
    currency: str = "CNY",
    issue_on: date | None = None,
    days_to_pay: int = DAYS_TO_PAY,
) -> AskedCharge:
    """What a test asks to be billed: setting up, unless it says else."""
    asked: Sequence[Mapping[str, Any]] = lines or (SETUP,)
    return AskedCharge(
        kind=kind,
        reference=reference,
        currency=currency,
        lines=asked,
        issue_on=issue_on,
        days_to_pay=days_to_pay,
    )


def a_charge(
    tenant_id: UUID, *lines: Mapping[str, Any], now: datetime = NOW, **options: Any
) -> UUID:
    """A draft of a charge."""
    with system_scope(purpose="test"):
        return ask_charge(
            tenant_id=tenant_id, asked=an_asked(*lines, **options), now=now, actor="test"
        )


def issued(
    tenant_id: UUID, *lines: Mapping[str, Any], at: datetime = NOW, **options: Any
) -> Invoice:
    """The invoice of a charge that is issued at once."""
    charge_id = a_charge(tenant_id, *lines, now=at, **options)
    with system_scope(purpose="test"):
        invoice_id = issue_charge(tenant_id=tenant_id, charge_id=charge_id, now=at, actor="test")
        assert invoice_id is not None
        return Invoice.objects.get(id=invoice_id)
