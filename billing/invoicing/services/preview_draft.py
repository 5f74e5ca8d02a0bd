"""What a draft would say if it were issued now."""

from dataclasses import dataclass
from uuid import UUID

from billing.invoicing.domain import InvoiceKind, InvoiceStatus
from billing.invoicing.models import Invoice
from billing.invoicing.services.finalize_due import rate_drafts
from kernel.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftNow:
    """A draft's `total` rated anew; or, where the terms can't rate it, `fault` with the code of why."""

    total: Money | None
    fault: str = ""


def preview_draft(*, invoice_id: UUID) -> DraftNow | None:
    """None for what is no draft of a subscription, and for a draft that says just what it would.

    A draft is stored as it was last rated, and rated anew by each billing run and before it is issued:
    meanwhile late usage, or a change of what is held, may have made it another. In the caller's
    cross-tenant scope; about ten queries for a draft, one else. Nothing is written.
    """
    invoice = (
        Invoice.objects.select_related("tenant", "subscription__tenant")
        .prefetch_related("subscription__plan_version")
        .filter(id=invoice_id, status=InvoiceStatus.DRAFT, kind=InvoiceKind.SUBSCRIPTION)
        .first()
    )
    if invoice is None:
        return None
    _, changed, faults = rate_drafts([invoice], lock=False)
    for _, fault in faults:
        return DraftNow(total=None, fault=fault.code)
    for each in changed:
        return DraftNow(total=each.draft.total)
    return None
