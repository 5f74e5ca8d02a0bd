"""What was written off and is settled after all."""

from datetime import datetime

from billing.invoicing.domain import InvoiceStatus
from billing.invoicing.models import Invoice
from billing.ledger.domain import recovery_postings, recovery_reference
from billing.ledger.services import NewTransaction, post_transaction
from kernel.money import Money


def recover_bad_debt(*, invoice: Invoice, amount: Money, settled_by: object, now: datetime) -> None:
    """Make an uncollectible invoice's amount owed again before it is settled; of others nothing.

    To be called with the locked invoice by whatever settles it, while its status still stands.
    `settled_by` is what settles it: the id of a payment or credit note, or ``balance``.
    """
    if invoice.status != InvoiceStatus.UNCOLLECTIBLE or not amount:
        return
    post_transaction(
        transaction=NewTransaction(
            tenant_id=invoice.tenant_id,
            kind="recovery",
            reference=recovery_reference(invoice_id=invoice.id, settled_by=settled_by),
            description=f"{invoice.number} is settled after its write-off",
            postings=recovery_postings(recovered=amount),
        ),
        now=now,
    )
