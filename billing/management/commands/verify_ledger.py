"""Check the journal, and that invoices, payments, balances and numbers agree with it."""

from typing import Any

from billing.closing.queries import first_period_drift
from billing.ledger.queries import (
    account_balances,
    first_balance_drift,
    first_drift,
    first_imbalance,
)
from billing.ledger.recognition import first_deferral_drift
from billing.payments.queries import first_payment_drift
from billing.payments.verification import (
    first_line_drift,
    first_number_gap,
    first_settlement_drift,
    first_tax_drift,
)
from tenants.scope import system_scope
from work.commands import SummitCommand


class Command(SummitCommand):
    help = (
        "Check that the ledger balances and agrees with invoices, payments, balances and numbers; "
        "name the first bad row."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        with system_scope(purpose="verify the ledger", actor="command"):
            imbalance = first_imbalance()
            drift = first_drift()
            payment = first_payment_drift()
            balance = first_balance_drift()
            lines = first_line_drift()
            settlement = first_settlement_drift()
            tax = first_tax_drift()
            gap = first_number_gap()
            deferral = first_deferral_drift()
            period = first_period_drift()
            balances = account_balances()
        found = (imbalance, drift, payment, balance, lines, tax, settlement, gap, deferral, period)
        document: dict[str, Any] = {
            "ok": all(each is None for each in found),
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
        elif lines is not None:
            document["first_bad"] = {
                "code": "lines_differ",
                "invoice": lines.number,
                "figure": lines.figure,
                "invoice_minor": lines.invoice_minor,
                "lines_minor": lines.lines_minor,
            }
        elif tax is not None:
            document["first_bad"] = {
                "code": "tax_differs",
                "invoice": tax.number,
                "figure": tax.figure,
                "invoice_minor": tax.invoice_minor,
                "found_minor": tax.found_minor,
            }
        elif settlement is not None:
            document["first_bad"] = {
                "code": "settlement_differs",
                "invoice": settlement.number,
                "status": settlement.status,
                "paid_minor": settlement.paid_minor,
                "settled_minor": settlement.settled_minor,
            }
        elif gap is not None:
            document["first_bad"] = {
                "code": "number_missing",
                "series": gap.series,
                "expected": gap.expected,
                "found": gap.found,
            }
        elif deferral is not None:
            document["first_bad"] = {
                "code": "deferred_revenue_differs",
                "tenant": deferral.tenant_id,
                "currency": deferral.currency,
                "ledger_minor": deferral.ledger_minor,
                "documents_minor": deferral.documents_minor,
            }
        elif period is not None:
            document["first_bad"] = {"code": "closed_month_differs", "month": f"{period:%Y-%m}"}
        self.emit(document, failed=not document["ok"])
