"""Posting to the journal."""

from billing.ledger.services.add_to_balance import add_to_balance
from billing.ledger.services.post_transactions import (
    NewTransaction,
    post_transaction,
    post_transactions,
)

__all__ = ["NewTransaction", "add_to_balance", "post_transaction", "post_transactions"]
