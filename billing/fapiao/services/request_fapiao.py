"""Ask for the fapiao of an invoice."""

from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import IntegrityError, transaction

from billing.fapiao.amounts import invoice_amounts, note_ids, products_of
from billing.fapiao.domain.composing import CNY, fapiao_lines
from billing.fapiao.domain.content import FapiaoContent, FapiaoSeller, FapiaoTitle
from billing.fapiao.domain.states import LIVING, BuyerType, FapiaoColor, FapiaoKind
from billing.fapiao.domain.validation import refuse_faults
from billing.fapiao.gateways.configured import refuse_unless_issued
from billing.fapiao.models import Fapiao, FapiaoBuyer
from billing.fapiao.services.ask_platform import ask_later
from billing.invoicing.domain import InvoiceStatus
from billing.invoicing.models import Invoice
from kernel.errors import Conflict, NotFound
from tenants import audit
from work.connections import current_alias

_DUE_OR_PAID: Final = frozenset({InvoiceStatus.OPEN, InvoiceStatus.PAID})


def request_fapiao(*, tenant_id: UUID, invoice_id: UUID, now: datetime, actor: str) -> UUID:
    """Ask for a blue fapiao of what an invoice bills less its credit notes, to the tenant's buyer; gives
    its id. In the caller's scope; the platform is asked by a job.

    Raises NotFound `invoice_not_found`, Conflict `fapiao_not_due` (a draft, void or uncollectible),
    `fapiao_other_currency`, `fapiao_without_buyer`, `fapiao_exists`, those of `fapiao_lines`, and
    FapiaoFaults with all that the platform would refuse.
    """
    invoice = (
        Invoice.objects.select_for_update(of=("self",))
        .select_related("seller")
        .filter(tenant_id=tenant_id, id=invoice_id)
        .first()
    )
    if invoice is None:
        raise NotFound("invoice_not_found", "There is no such invoice.", field="invoice")
    if invoice.status not in _DUE_OR_PAID:
        raise Conflict(
            "fapiao_not_due",
            "A fapiao is issued for money that is due or paid; this invoice is neither.",
            field="invoice",
        )
    if invoice.currency != CNY:
        raise Conflict(
            "fapiao_other_currency",
            f"A fapiao is in CNY; this invoice is in {invoice.currency}.",
            field="invoice",
        )
    title = fapiao_title(tenant_id=tenant_id)
    if title is None:
        raise Conflict(
            "fapiao_without_buyer",
            "Nobody has said yet for whom fapiao are issued; give name and tax id first.",
            field="buyer",
        )
    lines = fapiao_lines(invoice_amounts(invoice), products=products_of(seller=invoice.seller_id))
    content = FapiaoContent(
        seller=FapiaoSeller(name=invoice.seller.name, tax_id=invoice.seller.tax_id),
        title=title,
        lines=lines,
        remark=str(invoice.number),
    )
    refuse_faults(content)
    return store_request(
        Fapiao(
            tenant_id=tenant_id,
            invoice_id=invoice.id,
            color=FapiaoColor.BLUE,
            content=content.document,
            nets=note_ids(invoice),
            net_minor=content.net,
            tax_minor=content.tax,
            total_minor=content.total,
            currency=CNY,
            requested_by=actor,
            requested_at=now,
        ),
        now=now,
    )


def fapiao_title(*, tenant_id: UUID) -> FapiaoTitle | None:
    """For whom the tenant's fapiao are issued; None where nobody said."""
    row = FapiaoBuyer.objects.filter(tenant_id=tenant_id).first()
    if row is None:
        return None
    return FapiaoTitle(
        kind=FapiaoKind(row.kind),
        buyer_type=BuyerType(row.buyer_type),
        name=row.name,
        tax_id=row.tax_id,
        address=row.address,
        phone=row.phone,
        bank=row.bank,
        bank_account=row.bank_account,
        email=row.email,
    )


def store_request(row: Fapiao, *, now: datetime) -> UUID:
    """Store a request, let a job ask the platform, and note who asked. Raises Conflict `fapiao_exists`
    where the amount is asked for already, Unavailable `fapiao_off` where no platform is set up."""
    refuse_unless_issued()
    try:
        with transaction.atomic(using=current_alias()):
            row.save(force_insert=True)
    except IntegrityError as error:
        # What the guard refuses: somebody asked for the same amount before.
        raise Conflict(
            "fapiao_exists",
            "A fapiao for this amount was asked for already; see it in the list.",
            field="invoice",
            params={"living": sorted(LIVING)},
        ) from error
    ask_later(row)
    audit.record(
        audit.Entry(
            tenant_id=row.tenant_id,
            actor=row.requested_by,
            action=f"fapiao.{row.color}_requested",
            target=f"fapiao:{row.id}",
            after={"invoice": str(row.invoice_id), "total": row.content["total"]},
            reason=row.reason,
        ),
        now=now,
    )
    return row.id
