"""Finalise drafts whose grace is over: rate once more, number, freeze, post, announce."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from billing.invoicing.contracts import load_contracts, load_usage, users_to_count
from billing.invoicing.domain import InvoiceKind, InvoiceStatus
from billing.invoicing.drafting import Contract, draft_document
from billing.invoicing.late_periods import correction_counts, find_late
from billing.invoicing.late_usage import with_adjustments
from billing.invoicing.models import Invoice, InvoiceLine
from billing.invoicing.parking import Parked
from billing.invoicing.rated import Rated
from billing.invoicing.services.finalize_rated import finalize_rated
from billing.invoicing.services.rate_due import ended_periods, usage_span
from billing.invoicing.storing import Document, content_hash, store_lines
from billing.invoicing.tenant_ranges import ALL_TENANTS, Tenants
from billing.subscriptions.domain import Boundary
from billing.subscriptions.models import Subscription
from kernel.errors import Conflict, DomainError
from kernel.period import Period
from tenants.scope import system_scope

CHUNK = 500

Place = tuple[UUID, datetime, UUID]
"""Of a draft in the order in which drafts are taken: tenant, instant from which it is final, id."""


@dataclass(slots=True, kw_only=True)
class Finalized:
    """What one chunk did; `seen` 0 means that nothing was left to do."""

    seen: int = 0
    finalized: int = 0
    empty: int = 0
    refreshed: int = 0
    waiting: int = 0
    released: int = 0
    parked: list[Parked] = field(default_factory=list)
    totals: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    last: Place | None = None


def finalize_due(
    *,
    at: datetime,
    finalize: bool,
    tenants: Tenants = ALL_TENANTS,
    after: Place | None = None,
    count: Callable[[Finalized], None] = lambda _: None,
) -> Finalized:
    """Refresh up to `CHUNK` drafts with late usage; finalise those whose grace is over at `at`.

    Drafts are taken tenant by tenant in the order of their `finalize_at`, after the place `after`. A draft that bills
    usage also waits until all days of its period are closed. Documents are issued as of `at`; they
    get their numbers last, so that the series is held for a moment only, and in order. A document
    whose lines are all zero is not issued: it becomes void and gets no number. One that comes out
    negative, for what late usage gives back, is issued as a credit note.

    The subscription's draft that is to be final first takes the late usage of its earlier periods.
    `count` is called last in the transaction.
    """
    with system_scope(purpose="finalise invoices"):
        invoices = _take(at=at, finalize=finalize, tenants=tenants, after=after)
        outcome = Finalized(seen=len(invoices))
        if not invoices:
            return outcome
        last = invoices[-1]
        outcome.last = (last.tenant_id, last.finalize_at, last.id)
        invoices = _with_siblings(invoices, at=at, finalize=finalize)
        rated, changed, faults = rate_drafts(invoices, lock=True)
        for contract, fault in faults:
            outcome.parked.append(Parked.by(fault, tenant=contract.tenant_key))
            Subscription.objects.filter(id=contract.subscription_id).update(
                parked_code=fault.code, parked_detail=fault.message
            )
        _rewrite(changed)
        outcome.refreshed = len(changed)
        if finalize:
            done = finalize_rated(rated=rated, at=at)
            outcome.finalized, outcome.empty = done.finalized, done.empty
            outcome.waiting = done.waiting
            outcome.totals = done.totals
            outcome.released = done.released
            outcome.parked.extend(done.parked)
        else:
            outcome.waiting = len(rated)
        count(outcome)
        return outcome


def _take(*, at: datetime, finalize: bool, tenants: Tenants, after: Place | None) -> list[Invoice]:
    drafts = (
        Invoice.objects.select_for_update(of=("self",))
        .select_related("tenant", "subscription__plan_version", "subscription__tenant")
        .filter(
            status=InvoiceStatus.DRAFT,
            kind=InvoiceKind.SUBSCRIPTION,
            boundary_at__lte=at,
            **tenants.lookup,
        )
        .order_by("tenant_id", "finalize_at", "id")
    )
    if finalize:
        # What still waits for its grace is refreshed too, but the work that matters comes first.
        drafts = drafts.filter(finalize_at__lte=at)
    if after is not None:
        drafts = drafts.extra(  # a row comparison, which the ORM has no words for
            where=["(billing_invoice.tenant_id, finalize_at, billing_invoice.id) > (%s, %s, %s)"],
            params=list(after),
        )
    return list(drafts[:CHUNK])


def _with_siblings(invoices: list[Invoice], *, at: datetime, finalize: bool) -> list[Invoice]:
    """With the drafts that are to be consolidated with some of them, wherever in the order they are: a chunk
    never ends between two of an invoice. One query where a tenant consolidates, else none."""
    asked = [each for each in invoices if each.tenant.consolidates_invoices]
    if not asked or not finalize:
        return invoices
    more = (
        Invoice.objects.select_for_update(of=("self",))
        .select_related("tenant", "subscription__plan_version", "subscription__tenant")
        .filter(
            tenant_id__in={each.tenant_id for each in asked},
            boundary_at__in={each.boundary_at for each in asked},
            status=InvoiceStatus.DRAFT,
            kind=InvoiceKind.SUBSCRIPTION,
            finalize_at__lte=at,
        )
        .exclude(id__in=[each.id for each in invoices])
        .order_by("tenant_id", "finalize_at", "id")
    )
    return sorted([*invoices, *more], key=lambda each: (each.tenant_id, each.finalize_at, each.id))


def rate_drafts(
    invoices: Sequence[Invoice], *, lock: bool
) -> tuple[list[Rated], list[Rated], list[tuple[Contract, DomainError]]]:
    """The drafts rated anew, those of them that say something else now, and whose can't be rated; in the
    caller's scope. Nothing is written; `lock` as `rate_due`."""
    subscriptions = {
        invoice.subscription_id: invoice.subscription
        for invoice in invoices
        if invoice.subscription is not None
    }
    contracts = load_contracts(subscriptions.values())
    work: list[tuple[Invoice, Contract, Boundary]] = []
    for invoice in invoices:
        if invoice.subscription_id is not None:
            contract = contracts[invoice.subscription_id]
            work.append((invoice, contract, contract.cadence.boundary(invoice.boundary_at)))
    # What is billed already is read before the usage: what comes between is found the next time.
    counts = correction_counts(
        periods=[
            (contract, Period(invoice.period_starts_at, invoice.period_ends_at))
            for invoice, contract, _ in work
        ]
    )
    late = find_late(contracts=contracts, lock=lock)
    usage = load_usage(
        spans=[
            span for _, contract, boundary in work if (span := usage_span(contract, [boundary]))
        ],
        meters={meter for contract in contracts.values() for meter in contract.meters},
        users=[
            each
            for _, contract, boundary in work
            for each in users_to_count(contract, ended_periods([boundary]))
        ],
    )
    rated, changed = [], []
    faults: list[tuple[Contract, DomainError]] = []
    for (invoice, contract, boundary), corrections in zip(work, counts, strict=True):
        of_subscription = late.get(contract.subscription_id)
        try:
            adjusted = of_subscription.for_document(invoice.id) if of_subscription else ()
            draft = with_adjustments(
                draft_document(
                    contract=contract, boundary=boundary, usage=usage.get(contract.tenant_id, {})
                ),
                contract=contract,
                boundary=boundary,
                adjusted=adjusted,
            )
            if draft is None:
                raise Conflict(
                    "draft_without_content",
                    "The subscription's dates no longer bill anything where it has a draft; "
                    "mend its dates or void the draft.",
                )
        except DomainError as error:
            faults.append((contract, error))
            continue
        each = Rated(
            invoice=invoice,
            contract=contract,
            draft=draft,
            corrections=corrections,
            late=of_subscription if adjusted else None,
        )
        rated.append(each)
        if content_hash(draft) != bytes(invoice.content_hash or b""):
            changed.append(each)
    return rated, changed, faults


def _rewrite(changed: Sequence[Rated]) -> None:
    if not changed:
        return
    InvoiceLine.objects.filter(invoice_id__in=[each.invoice.id for each in changed]).delete()
    store_lines(Document(invoice=each.invoice, draft=each.draft) for each in changed)
    for each in changed:
        totals = each.draft.settlement
        each.invoice.subtotal_minor = totals.subtotal.minor
        each.invoice.discount_minor = totals.discount_total.minor
        each.invoice.tax_minor = totals.tax_total.minor
        each.invoice.total_minor = totals.total.minor
        each.invoice.content_hash = content_hash(each.draft)
    Invoice.objects.bulk_update(
        [each.invoice for each in changed],
        ["subtotal_minor", "discount_minor", "tax_minor", "total_minor", "content_hash"],
        batch_size=500,
    )
