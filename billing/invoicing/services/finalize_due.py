"""Finalise drafts whose grace is over: rate once more, number, freeze, post, announce."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from uuid import UUID

from billing.invoicing.contracts import load_contracts, load_usage
from billing.invoicing.domain import DAYS_TO_PAY, InvoiceStatus, invoice_number
from billing.invoicing.drafting import Contract, Draft, draft_document
from billing.invoicing.lines import content_hash, line_rows
from billing.invoicing.models import Invoice, InvoiceLine, Seller
from billing.invoicing.services.draft_due import Parked, usage_span
from billing.ledger.domain import invoice_postings
from billing.ledger.services import NewTransaction, post_transactions
from billing.subscriptions.domain import Boundary
from billing.subscriptions.models import Subscription
from kernel.errors import DomainError
from kernel.money import Money
from kernel.period import local_day
from metering import queries as metering
from tenants.scope import system_scope
from work import outbox
from work.connections import cursor

CHUNK = 200


@dataclass(slots=True, kw_only=True)
class Finalized:
    """What one chunk did; `seen` 0 means that nothing was left to do."""

    seen: int = 0
    finalized: int = 0
    empty: int = 0
    refreshed: int = 0
    waiting: int = 0
    parked: list[Parked] = field(default_factory=list)
    totals: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    last: tuple[datetime, UUID] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rated:
    invoice: Invoice
    contract: Contract
    draft: Draft
    changed: bool


def finalize_due(
    *,
    at: datetime,
    finalize: bool,
    tenant_key: str = "",
    after: tuple[datetime, UUID] | None = None,
) -> Finalized:
    """Refresh up to `CHUNK` drafts with late usage; finalise those whose grace is over at `at`.

    Drafts are taken in the order of their `finalize_at`, after the place `after`. A draft that bills
    usage also waits until all days of its period are closed. Documents are issued as of `at`; they
    get their numbers last, so that the series is held for a moment only, and in order. A document
    whose lines are all zero is not issued: it becomes void and gets no number.
    """
    with system_scope(purpose="finalise invoices"):
        invoices = _take(at=at, finalize=finalize, tenant_key=tenant_key, after=after)
        outcome = Finalized(seen=len(invoices))
        if not invoices:
            return outcome
        outcome.last = (invoices[-1].finalize_at, invoices[-1].id)
        rated = _rate(invoices, outcome)
        _rewrite_changed(rated)
        outcome.refreshed = sum(each.changed for each in rated)
        closed = metering.closed_until(tenant_ids=list({each.contract.tenant_id for each in rated}))
        ready = [each for each in rated if finalize and _is_ready(each, at=at, closed=closed)]
        outcome.waiting = len(rated) - len(ready)
        issued = [each for each in ready if not each.draft.is_empty]
        empty = [each.invoice.id for each in ready if each.draft.is_empty]
        Invoice.objects.filter(id__in=empty).update(status=InvoiceStatus.VOID)
        outcome.empty = len(empty)
        _issue(issued, at=at)
        outcome.finalized = len(issued)
        for each in issued:
            outcome.totals[each.draft.currency] += each.draft.subtotal.minor
        return outcome


def _take(
    *, at: datetime, finalize: bool, tenant_key: str, after: tuple[datetime, UUID] | None
) -> list[Invoice]:
    drafts = (
        Invoice.objects.select_for_update(of=("self",))
        .select_related("tenant", "subscription__plan_version", "subscription__tenant")
        .filter(status=InvoiceStatus.DRAFT, boundary_at__lte=at)
        .order_by("finalize_at", "id")
    )
    if finalize:
        # What still waits for its grace is refreshed too, but the work that matters comes first.
        drafts = drafts.filter(finalize_at__lte=at)
    if tenant_key:
        drafts = drafts.filter(tenant__key=tenant_key)
    if after is not None:
        drafts = drafts.extra(  # a row comparison, which the ORM has no words for
            where=["(billing_invoice.finalize_at, billing_invoice.id) > (%s, %s)"],
            params=list(after),
        )
    return list(drafts[:CHUNK])


def _rate(invoices: Sequence[Invoice], outcome: Finalized) -> list[_Rated]:
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
    usage = load_usage(
        spans=[
            span for _, contract, boundary in work if (span := usage_span(contract, [boundary]))
        ],
        meters={meter for contract in contracts.values() for meter in contract.meters},
    )
    rated = []
    for invoice, contract, boundary in work:
        try:
            draft = draft_document(
                contract=contract, boundary=boundary, usage=usage.get(contract.tenant_id, {})
            )
        except DomainError as error:
            outcome.parked.append(
                Parked(tenant=contract.tenant_key, code=error.code, detail=error.message)
            )
            Subscription.objects.filter(id=contract.subscription_id).update(
                parked_code=error.code, parked_detail=error.message
            )
            continue
        assert draft is not None  # noqa: S101  # it was drafted from the same terms and dates
        changed = content_hash(draft) != bytes(invoice.content_hash or b"")
        rated.append(_Rated(invoice=invoice, contract=contract, draft=draft, changed=changed))
    return rated


def _rewrite_changed(rated: Sequence[_Rated]) -> None:
    changed = [each for each in rated if each.changed]
    if not changed:
        return
    InvoiceLine.objects.filter(invoice_id__in=[each.invoice.id for each in changed]).delete()
    InvoiceLine.objects.bulk_create(
        [
            row
            for each in changed
            for row in line_rows(
                invoice_id=each.invoice.id, contract=each.contract, draft=each.draft
            )
        ],
        batch_size=1000,
    )
    for each in changed:
        each.invoice.subtotal_minor = each.draft.subtotal.minor
        each.invoice.total_minor = each.draft.subtotal.minor
        each.invoice.content_hash = content_hash(each.draft)
    Invoice.objects.bulk_update(
        [each.invoice for each in changed],
        ["subtotal_minor", "total_minor", "content_hash"],
        batch_size=500,
    )


def _is_ready(each: _Rated, *, at: datetime, closed: dict[UUID, date]) -> bool:
    if each.invoice.finalize_at > at:
        return False
    if not each.draft.waits_for_usage:
        return True
    until = closed.get(each.contract.tenant_id)
    end_day = each.draft.period.end_day(each.contract.cadence.zone)
    return until is not None and until >= end_day


def _issue(issued: Sequence[_Rated], *, at: datetime) -> None:
    if not issued:
        return
    sellers = {row.code: row for row in Seller.objects.all()}
    post_transactions(
        transactions=[_posting(each) for each in issued],
        now=at,
    )
    outbox.publish_many(
        [
            outbox.NewMessage(
                topic="invoice.finalized",
                key=str(each.invoice.id),
                payload={
                    "invoice_id": str(each.invoice.id),
                    "tenant_id": str(each.contract.tenant_id),
                },
                tenant_id=each.contract.tenant_id,
            )
            for each in issued
        ]
    )
    issue_days = [local_day(at, each.contract.cadence.zone) for each in issued]
    numbers = _numbers(
        [
            (each.invoice.seller_id, sellers[each.invoice.seller_id].number_prefix, day.year)
            for each, day in zip(issued, issue_days, strict=True)
        ]
    )
    with cursor() as db:
        db.execute(
            """
            UPDATE billing_invoice AS i
               SET status = 'open', number = n.number, issued_at = %s, due_on = n.due_on,
                   buyer = n.buyer
              FROM unnest(%s::uuid[], %s::text[], %s::date[], %s::jsonb[])
                   AS n(id, number, due_on, buyer)
             WHERE i.id = n.id
            """,
            [
                at,
                [each.invoice.id for each in issued],
                numbers,
                [day + timedelta(days=DAYS_TO_PAY) for day in issue_days],
                [_buyer(each.invoice) for each in issued],
            ],
        )
    # What comes out at zero is paid as it is issued.
    Invoice.objects.filter(
        id__in=[each.invoice.id for each in issued], total_minor=0, status=InvoiceStatus.OPEN
    ).update(status=InvoiceStatus.PAID, paid_at=at)


def _posting(each: _Rated) -> NewTransaction:
    zero = Money.zero(each.draft.currency)
    advance = sum(
        (line.line.amount for line in each.draft.lines if line.timing == "in_advance"), start=zero
    )
    return NewTransaction(
        tenant_id=each.contract.tenant_id,
        kind="invoice",
        reference=f"invoice:{each.invoice.id}",
        description=f"Invoice for {each.contract.tenant_key}",
        postings=invoice_postings(
            recurring_in_advance=advance, arrears=each.draft.subtotal - advance, tax=zero
        ),
    )


def _buyer(invoice: Invoice) -> str:
    """The party as it stood when the document was issued, as JSON."""
    tenant = invoice.tenant
    return json.dumps(
        {
            "key": tenant.key,
            "name": tenant.name,
            "address": tenant.address,
            "tax_id": tenant.tax_id,
            "country": tenant.country,
            "email": tenant.billing_email,
        },
        ensure_ascii=False,
    )


def _numbers(series_of: Sequence[tuple[str, str, int]]) -> list[str]:
    """The next numbers of each document's series, gapless, in the order given.

    The series' row stays locked until the transaction ends, so a rollback gives the numbers back.
    """
    counts: dict[tuple[str, str, int], int] = defaultdict(int)
    for series in series_of:
        counts[series] += 1
    following: dict[tuple[str, str, int], int] = {}
    with cursor() as db:
        for seller, prefix, year in sorted(counts):
            db.execute(
                "INSERT INTO billing_numberseries AS s (seller_id, prefix, year, last)"
                " VALUES (%s, %s, %s, %s)"
                " ON CONFLICT (seller_id, prefix, year)"
                " DO UPDATE SET last = s.last + excluded.last RETURNING last",
                [seller, prefix, year, counts[seller, prefix, year]],
            )
            (last,) = db.fetchone()
            following[seller, prefix, year] = last - counts[seller, prefix, year] + 1
    numbers = []
    for seller, prefix, year in series_of:
        sequence = following[seller, prefix, year]
        following[seller, prefix, year] = sequence + 1
        numbers.append(invoice_number(prefix=prefix, year=year, sequence=sequence))
    return numbers
