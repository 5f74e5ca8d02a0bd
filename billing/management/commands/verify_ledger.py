"""Check the journal: every transaction balances, every issued invoice and payment is posted as it is."""

from typing import Any

from billing.ledger.queries import (
    account_balances,
    first_balance_drift,
    first_drift,
    first_imbalance,
)
from billing.payments.queries import first_payment_drift
from tenants.scope import system_scope
from work.commands import SummitCommand


class Command(SummitCommand):
    help = "Check that the ledger balances and agrees with invoices and payments; name the first bad row."

    def handle(self, *args: Any, **options: Any) -> None:
        with system_scope(purpose="verify the ledger", actor="command"):
            imbalance = first_imbalance()
            drift = first_drift()
            payment = first_payment_drift()
            balance = first_balance_drift()
            balances = account_balances()
        document: dict[str, Any] = {
            "ok": imbalance is None and drift is None and payment is None and balance is None,
            "balances": [
                {"account": account, "currency": currency, "amount": f"{money.amount:f}"}
                for (account, currency), money in balances.items()
            ],
        }
        if imbalance is not None:
            document["first_bad"] = {
                "code": "unbalanced_transaction",
                "transaction": imbalance.transaction_id,
                "currency": imbalance.currency,
                "rest_minor": imbalance.rest_minor,
            }
        elif drift is not None:
            document["first_bad"] = {
                "code": "invoice_posting_differs",
                "invoice": drift.number,
                "invoice_minor": drift.invoice_minor,
                "posted_minor": drift.posted_minor,
            }
        elif payment is not None:
            document["first_bad"] = {
                "code": "payment_posting_differs",
                "payment": payment.payment_id,
                "allocated_minor": payment.allocated_minor,
                "credited_minor": payment.credited_minor,
                "posted_allocated_minor": payment.posted_allocated_minor,
                "posted_credited_minor": payment.posted_credited_minor,
            }
        elif balance is not None:
            document["first_bad"] = {
                "code": "balance_differs",
                "tenant": balance.tenant_id,
                "kind": balance.kind,
                "currency": balance.currency,
                "lots_minor": balance.lots_minor,
                "ledger_minor": balance.ledger_minor,
            }
        self.emit(document, failed=not document["ok"])
