"""Posting to the journal."""

from billing.ledger.services.post_transactions import (
    NewTransaction,
    post_transaction,
    post_transactions,
)

__all__ = ["NewTransaction", "post_transaction", "post_transactions"]
