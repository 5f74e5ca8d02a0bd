"""Post balanced transactions to the journal."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from billing.ledger.domain import Posting, balanced
from billing.ledger.models import JournalEntry, JournalTransaction
from kernel import ids


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTransaction:
    """A movement to post; (tenant, kind, reference) names it and can be posted once."""

    tenant_id: UUID
    kind: str
    reference: str
    description: str
    postings: Sequence[Posting]


def post_transaction(*, transaction: NewTransaction, now: datetime) -> UUID:
    """Post one transaction in the caller's scope; see `post_transactions`."""
    return post_transactions(transactions=[transaction], now=now)[0]


def post_transactions(*, transactions: Sequence[NewTransaction], now: datetime) -> list[UUID]:
    """Post many transactions in two statements, in the caller's scope and database transaction.

    Raises Invalid `unbalanced_transaction`; IntegrityError when one was posted before, which takes
    the caller's whole change back: a second posting is always a defect of the caller.
    """
    rows = []
    entries: list[JournalEntry] = []
    for new in transactions:
        row = JournalTransaction(
            id=ids.new_id(),
            tenant_id=new.tenant_id,
            kind=new.kind,
            reference=new.reference,
            description=new.description[:200],
            posted_at=now,
        )
        rows.append(row)
        entries.extend(
            JournalEntry(
                id=ids.new_id(),
                tenant_id=new.tenant_id,
                transaction=row,
                account_id=posting.account.value,
                currency=posting.amount.currency,
                amount_minor=posting.amount.minor,
            )
            for posting in balanced(new.postings)
        )
    JournalTransaction.objects.bulk_create(rows, batch_size=1000)
    JournalEntry.objects.bulk_create(entries, batch_size=2000)
    return [row.id for row in rows]
