"""Issue drafts: number, freeze, post to the ledger, announce. Every invoice that is issued goes through here."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from billing.invoicing.domain import DAYS_TO_PAY, InvoiceStatus, invoice_number
from billing.invoicing.drafting import Draft
from billing.invoicing.models import Invoice, Seller
from billing.invoicing.parties_at_issue import Unissued, held_back, to_be_issued
from billing.invoicing.required_fields import ToBeIssued
from billing.ledger.domain import invoice_postings
from billing.ledger.services import NewTransaction, post_transactions
from billing.rating.lines import LineKind
from kernel.array_literals import plain_array, text_array
from kernel.money import Money
from kernel.period import local_day
from work import outbox
from work.connections import cursor

_TOLD_TOGETHER: Final = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuable:
    """A draft's row with its content, and in how many days it is due; `says` is what it says of its parties,
    None: it is looked up."""

    invoice: Invoice
    draft: Draft
    days_to_pay: int = DAYS_TO_PAY
    says: ToBeIssued | None = None

    @property
    def unissued(self) -> Unissued:
        """What has to be known of it to look that up."""
        return Unissued(
            tenant=self.invoice.tenant,
            seller=self.invoice.seller_id,
            timezone=self.invoice.timezone,
            # Prepaid money bears none before it is used (article 30b of Directive 2006/112/EC).
            taxes=[line.tax for line in self.draft.lines if line.line.kind is not LineKind.TOP_UP],
            tax=self.draft.settlement.tax_total,
        )


def with_parties(documents: Sequence[Issuable], *, at: datetime) -> list[Issuable]:
    """The same, each with what it will say of its parties when it is issued at that instant. Three
    queries at most."""
    said = to_be_issued([each.unissued for each in documents], at=at)
    return [replace(each, says=says) for each, says in zip(documents, said, strict=True)]


def issue_documents(*, documents: Sequence[Issuable], at: datetime) -> None:
    """Number, freeze, post and announce drafts, as of `at`, in the caller's scope.

    Each invoice's tenant must be loaded. The numbers come last: their series is held for a moment only.
    Raises Conflict `invoice_fields_missing` where one lacks what the law wants on it: then none is issued.
    """
    if not documents:
        return
    if all(each.says is not None for each in documents):
        issued: Sequence[Issuable] = documents
    else:
        issued = with_parties(documents, at=at)
    said = [each.says for each in issued if each.says is not None]
    for refused in held_back(said):
        if refused is not None:
            raise refused
    prefixes = dict(Seller.objects.values_list("code", "number_prefix"))
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
                    "tenant_id": str(each.invoice.tenant_id),
                },
                tenant_id=each.invoice.tenant_id,
            )
            for each in issued
        ]
    )
    announce_together(name="invoices", document_ids=[each.invoice.id for each in issued])
    issue_days = [local_day(at, ZoneInfo(each.invoice.timezone)) for each in issued]
    numbers = next_numbers(
        [
            (each.invoice.seller_id, prefixes[each.invoice.seller_id], day.year)
            for each, day in zip(issued, issue_days, strict=True)
        ]
    )
    with cursor() as db:
        db.execute(
            """
            UPDATE billing_invoice AS i
               SET status = 'open', number = n.number, issued_at = %s, due_on = n.due_on,
                   buyer = n.buyer, issuer = n.issuer, national_tax = nullif(n.national_tax, 'null')
              FROM unnest(%s::uuid[], %s::text[], %s::date[], %s::jsonb[], %s::jsonb[], %s::jsonb[])
                   AS n(id, number, due_on, buyer, issuer, national_tax)
             WHERE i.id = n.id
            """,
            [
                at,
                plain_array(each.invoice.id for each in issued),
                text_array(numbers),
                plain_array(
                    day + timedelta(days=each.days_to_pay)
                    for each, day in zip(issued, issue_days, strict=True)
                ),
                text_array(
                    json.dumps(says.recipient.stored(), ensure_ascii=False) for says in said
                ),
                text_array(json.dumps(says.issuer.stored(), ensure_ascii=False) for says in said),
                text_array(
                    json.dumps(
                        None if says.national_tax is None else says.national_tax.stored(),
                        ensure_ascii=False,
                    )
                    for says in said
                ),
            ],
        )
    # What comes out at zero is paid as it is issued.
    nothing_owed = [each.invoice.id for each in issued if not each.draft.total]
    if nothing_owed:
        Invoice.objects.filter(id__in=nothing_owed, status=InvoiceStatus.OPEN).update(
            status=InvoiceStatus.PAID, paid_at=at
        )


def announce_together(*, name: str, document_ids: Sequence[UUID]) -> None:
    """For what is done for many at once, such as mailing them; a message holds no more ids than these. `name`
    is `invoices` or `credit_notes`."""
    outbox.publish_many(
        [
            outbox.NewMessage(
                topic="documents.issued",
                key=str(chunk[0]),
                payload={"invoices": [], name: [str(each) for each in chunk]},
            )
            for start in range(0, len(document_ids), _TOLD_TOGETHER)
            for chunk in [document_ids[start : start + _TOLD_TOGETHER]]
        ]
    )


def _posting(each: Issuable) -> NewTransaction:
    zero = Money.zero(each.draft.currency)
    settlement = each.draft.settlement
    advance = sum(
        (
            settled.taxable
            for line, settled in zip(each.draft.lines, settlement.lines, strict=True)
            if line.timing == "in_advance"
        ),
        start=zero,
    )
    topped_up = sum(
        (
            settled.taxable
            for line, settled in zip(each.draft.lines, settlement.lines, strict=True)
            if line.line.kind is LineKind.TOP_UP
        ),
        start=zero,
    )
    net = settlement.subtotal - settlement.discount_total
    return NewTransaction(
        tenant_id=each.invoice.tenant_id,
        kind="invoice",
        reference=f"invoice:{each.invoice.id}",
        description=f"Invoice for {each.invoice.tenant.key}",
        postings=invoice_postings(
            recurring_in_advance=advance,
            arrears=net - advance - topped_up,
            tax=settlement.tax_total,
            topped_up=topped_up,
        ),
    )


def next_numbers(series_of: Sequence[tuple[str, str, int]]) -> list[str]:
    """(seller, prefix, year) → the next numbers of each document's series, gapless, in the order given.

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
