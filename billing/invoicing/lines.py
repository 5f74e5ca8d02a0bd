"""Writing the lines of many drafts at once, and telling whether they changed."""

import hashlib
import json
from uuid import UUID

from billing.invoicing.drafting import Contract, Draft
from billing.invoicing.models import InvoiceLine
from kernel import ids


def content_hash(draft: Draft) -> bytes:
    """SHA-256 of all that the document says: equal content, equal hash."""
    content = [
        draft.currency,
        draft.period.starts_at.isoformat(),
        draft.period.ends_at.isoformat(),
        [
            [
                each.timing,
                str(each.plan_version_id),
                each.line.key,
                each.line.kind,
                each.line.app_key or "",
                each.line.description,
                str(each.line.quantity),
                str(each.line.unit_price),
                each.line.amount.minor,
                each.line.explanation,
                # What a document without discounts and taxes doesn't say keeps its hash as it was.
                *([each.tax.document] if each.tax.said_by else []),
                *(
                    [settled.discount.minor, each.working["discounts"]]
                    if each.line.discounts
                    else []
                ),
                *([settled.tax.minor] if settled.tax else []),
            ]
            for each, settled in zip(draft.lines, draft.settlement.lines, strict=True)
        ],
    ]
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).digest()


def line_rows(*, invoice_id: UUID, contract: Contract, draft: Draft) -> list[InvoiceLine]:
    """The rows of a draft's lines, in order."""
    return [
        InvoiceLine(
            id=ids.new_id(),
            tenant_id=contract.tenant_id,
            invoice_id=invoice_id,
            position=position,
            key=each.line.key,
            kind=each.line.kind,
            timing=each.timing,
            app_key=each.line.app_key or "",
            description=each.line.description[:300],
            quantity=each.line.quantity,
            unit_price=each.line.unit_price,
            amount_minor=each.line.amount.minor,
            discount_minor=settled.discount.minor,
            tax_percent=each.tax.percent,
            tax_code=each.tax.code,
            tax_minor=settled.tax.minor,
            period_starts_at=each.line.period.starts_at,
            period_ends_at=each.line.period.ends_at,
            plan_version_id=each.plan_version_id,
            adjusts=each.adjusts,
            explanation=each.working,
        )
        for position, (each, settled) in enumerate(
            zip(draft.lines, draft.settlement.lines, strict=True), start=1
        )
    ]
