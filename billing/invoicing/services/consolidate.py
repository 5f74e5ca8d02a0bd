"""Make one invoice of the documents of several subscriptions that fall due at one instant.

For tenants that want it so. The documents of one boundary instant, currency, zone and seller go together:
the lines of all, in the order in which the subscriptions started, with one tax computation per rate over all
of them. It waits for the last: nothing is issued while another of them is still a draft that can't be
final, or is not drafted though its boundary is over.

The documents keep their rows, without lines and void, so that (tenant, subscription, kind, boundary)
stays unique whatever they were consolidated into.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from billing.invoicing.domain import InvoiceKind, InvoiceStatus
from billing.invoicing.drafting import Draft
from billing.invoicing.models import Invoice, InvoiceLine
from billing.invoicing.parties_at_issue import held_back
from billing.invoicing.rated import Rated
from billing.invoicing.services.issue_documents import Issuable, with_parties
from billing.invoicing.storing import content_hash, store_consolidated
from billing.subscriptions.models import Subscription
from kernel import ids
from kernel.period import Period


class Together(NamedTuple):
    """What documents have in common that are consolidated."""

    tenant_id: UUID
    seller: str
    currency: str
    timezone: str
    boundary_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Consolidated:
    """An invoice to be issued, and the documents that it took, in their order."""

    issuable: Issuable
    parts: Sequence[Rated]


def is_consolidated(rated: Rated) -> bool:
    """Whether the tenant wants the document together with those of its other subscriptions."""
    return (
        rated.invoice.tenant.consolidates_invoices
        and rated.invoice.kind == InvoiceKind.SUBSCRIPTION
    )


def together(rated: Rated) -> Together:
    invoice = rated.invoice
    return Together(
        invoice.tenant_id,
        invoice.seller_id,
        invoice.currency,
        invoice.timezone,
        invoice.boundary_at,
    )


def without_waiting(ready: Sequence[Rated]) -> list[Rated]:
    """Those of the documents that need not wait for another one that they go together with. Two queries
    where a tenant consolidates, else none."""
    asked = [each for each in ready if is_consolidated(each)]
    if not asked:
        return list(ready)
    tenant_ids = {each.invoice.tenant_id for each in asked}
    boundaries = {each.invoice.boundary_at for each in asked}
    awaited = {
        Together(*row)
        for row in Invoice.objects.filter(
            tenant_id__in=tenant_ids,
            boundary_at__in=boundaries,
            status=InvoiceStatus.DRAFT,
            kind=InvoiceKind.SUBSCRIPTION,
        )
        .exclude(id__in=[each.invoice.id for each in asked])
        .values_list("tenant_id", "seller_id", "currency", "timezone", "boundary_at")
    }
    undrafted = list(
        Subscription.objects.filter(
            tenant_id__in=tenant_ids, next_boundary_at__lte=max(boundaries)
        ).values_list(
            "tenant_id", "plan_version__document__currency", "timezone", "next_boundary_at"
        )
    )

    def waits(each: Rated) -> bool:
        key = together(each)
        return key in awaited or any(
            (tenant_id, currency, timezone) == (key.tenant_id, key.currency, key.timezone)
            and due_at is not None
            and due_at <= key.boundary_at
            for tenant_id, currency, timezone, due_at in undrafted
        )

    return [each for each in ready if not (is_consolidated(each) and waits(each))]


def consolidate(documents: Sequence[Rated], *, at: datetime) -> list[Consolidated]:
    """One invoice for each group of at least two of the documents, as drafts that are to be issued in this
    transaction; the others stay as they are. A group that comes out negative stays as well: what gives back
    is a credit note, which is a subscription's; and one that would lack what the law wants on it.

    In the caller's cross-tenant scope, with the documents locked. A few statements whatever their number.
    """
    groups: dict[Together, list[Rated]] = defaultdict(list)
    for each in documents:
        if is_consolidated(each):
            groups[together(each)].append(each)
    made = []
    for group in groups.values():
        if len(group) > 1:
            found = _consolidated(sorted(group, key=_order), at=at)
            if found.issuable.draft.total.minor >= 0:
                made.append(found)
    made = _complete(made, at=at)
    if not made:
        return []
    covers = [(each.issuable.invoice, each) for each in made]
    parts = [(cover, part.invoice) for cover, each in covers for part in each.parts]
    Invoice.objects.bulk_create([cover for cover, _ in covers], batch_size=500)
    InvoiceLine.objects.filter(
        tenant_id__in={cover.tenant_id for cover, _ in covers},
        invoice_id__in=[part.id for _, part in parts],
    ).delete()
    store_consolidated(
        (cover, each.issuable.draft, _subscriptions(each.parts)) for cover, each in covers
    )
    for cover, part in parts:
        part.status, part.consolidated_into = InvoiceStatus.VOID, cover
    Invoice.objects.bulk_update(
        [part for _, part in parts], ["status", "consolidated_into"], batch_size=500
    )
    return made


def _complete(made: Sequence[Consolidated], *, at: datetime) -> list[Consolidated]:
    """Those that say all that the law wants; what could not be issued together is issued by itself."""
    issuable = with_parties([each.issuable for each in made], at=at)
    refusals = held_back([each.says for each in issuable if each.says is not None])
    return [
        replace(each, issuable=found)
        for each, found, refused in zip(made, issuable, refusals, strict=True)
        if refused is None
    ]


def _order(each: Rated) -> tuple[datetime, UUID]:
    subscription = each.invoice.subscription
    assert subscription is not None  # noqa: S101  # documents at boundaries have one
    return (subscription.starts_at, subscription.id)


def _subscriptions(parts: Sequence[Rated]) -> list[UUID]:
    """The subscription of each line."""
    return [each.contract.subscription_id for each in parts for _ in each.draft.lines]


def _consolidated(parts: Sequence[Rated], *, at: datetime) -> Consolidated:
    first = parts[0]
    drafts = [each.draft for each in parts]
    draft = replace(
        drafts[0],
        finalize_at=max(each.finalize_at for each in drafts),
        period=Period(
            min(each.period.starts_at for each in drafts),
            max(each.period.ends_at for each in drafts),
        ),
        lines=tuple(line for each in drafts for line in each.lines),
        waits_for_usage=any(each.waits_for_usage for each in drafts),
    )
    return Consolidated(
        issuable=Issuable(invoice=_row(first, draft, at=at), draft=draft), parts=tuple(parts)
    )


def _row(first: Rated, draft: Draft, *, at: datetime) -> Invoice:
    totals = draft.settlement
    own = first.invoice
    return Invoice(
        id=ids.new_id(),
        tenant=own.tenant,
        seller_id=own.seller_id,
        subscription=None,
        kind=InvoiceKind.CONSOLIDATED,
        currency=own.currency,
        timezone=own.timezone,
        language=own.language,
        boundary_at=own.boundary_at,
        period_starts_at=draft.period.starts_at,
        period_ends_at=draft.period.ends_at,
        finalize_at=draft.finalize_at,
        subtotal_minor=totals.subtotal.minor,
        discount_minor=totals.discount_total.minor,
        tax_minor=totals.tax_total.minor,
        total_minor=totals.total.minor,
        content_hash=content_hash(draft),
        created_at=at,
    )
