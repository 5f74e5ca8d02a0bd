"""Post balanced transactions to the journal."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from billing.ledger.books import first_open_instant
from billing.ledger.domain import Posting, balanced
from kernel import ids
from kernel.array_literals import plain_array, text_array
from work.bulk import insert_columns


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
    """Post many transactions in a few statements, in the caller's scope and database transaction.

    They are of `now`, or, where its month of the books is closed, of the first instant that is open: what
    belongs to a closed month is told by its document, whose dates stay. No month can be closed between
    that and the caller's commit.

    Raises Invalid `unbalanced_transaction`; IntegrityError when one was posted before, which takes
    the caller's whole change back: a second posting is always a defect of the caller.
    """
    posted_at = max(now, first_open_instant() or now)
    posted = [(ids.new_id(), new) for new in transactions]
    entries = [
        (transaction_id, new.tenant_id, posting)
        for transaction_id, new in posted
        for posting in balanced(new.postings)
    ]
    insert_columns(
        "billing_journaltransaction",
        {
            "id": ("uuid", plain_array(key for key, _ in posted)),
            "tenant_id": ("uuid", plain_array(new.tenant_id for _, new in posted)),
            "kind": ("text", text_array(new.kind for _, new in posted)),
            "reference": ("text", text_array(new.reference for _, new in posted)),
            "description": ("text", text_array(new.description[:200] for _, new in posted)),
            "posted_at": ("timestamptz", plain_array([posted_at.isoformat()] * len(posted))),
        },
    )
    insert_columns(
        "billing_journalentry",
        {
            "id": ("uuid", plain_array(ids.new_id() for _ in entries)),
            "tenant_id": ("uuid", plain_array(tenant_id for _, tenant_id, _ in entries)),
            "transaction_id": ("uuid", plain_array(key for key, _, _ in entries)),
            "account": ("text", text_array(each.account for *_, each in entries)),
            "currency": ("text", text_array(each.amount.currency for *_, each in entries)),
            "amount_minor": ("bigint", plain_array(each.amount.minor for *_, each in entries)),
        },
    )
    return [key for key, _ in posted]
