"""Addresses of billing below /api/v1/."""

from django.urls import URLPattern, path

from billing.api.balance import BalanceView
from billing.api.billing_profile import BillingProfileView
from billing.api.catalog import PlanInForceView, PlansView, PlanView
from billing.api.changes import ChangesView, ChangeView, PreviewView
from billing.api.credit_notes import CreditNotePdfView, CreditNotesView, CreditNoteView
from billing.api.electronic import CreditNoteUblView, InvoiceUblView
from billing.api.entitlements import EntitlementCheckView, EntitlementsView
from billing.api.invoices import ExplanationView, InvoicePdfView, InvoicesView, InvoiceView
from billing.api.payments import PaymentsView
from billing.api.statements import StatementFileView, StatementsView, StatementView
from billing.api.subscriptions import SubscriptionsView
from billing.api.terms import TermsView

urlpatterns: list[URLPattern] = [
    path("plans", PlansView.as_view(), name="plans"),
    path("plans/<str:plan_key>", PlanView.as_view(), name="plan"),
    path("plans/<str:plan_key>/in-force", PlanInForceView.as_view(), name="plan_in_force"),
    path("terms", TermsView.as_view(), name="terms"),
    path("subscriptions", SubscriptionsView.as_view(), name="subscriptions"),
    path("subscriptions/<str:subscription_id>/preview", PreviewView.as_view(), name="preview"),
    path("subscriptions/<str:subscription_id>/changes", ChangesView.as_view(), name="changes"),
    path(
        "subscriptions/<str:subscription_id>/changes/<str:change_id>",
        ChangeView.as_view(),
        name="change",
    ),
    path("invoices", InvoicesView.as_view(), name="invoices"),
    path("invoices/<str:invoice_id>", InvoiceView.as_view(), name="invoice"),
    path("invoices/<str:invoice_id>/pdf", InvoicePdfView.as_view(), name="invoice_pdf"),
    path("invoices/<str:invoice_id>/explanation", ExplanationView.as_view(), name="explanation"),
    path("credit-notes", CreditNotesView.as_view(), name="credit_notes"),
    path("credit-notes/<str:credit_note_id>", CreditNoteView.as_view(), name="credit_note"),
    path(
        "credit-notes/<str:credit_note_id>/pdf",
        CreditNotePdfView.as_view(),
        name="credit_note_pdf",
    ),
    path("invoices/<str:invoice_id>/ubl", InvoiceUblView.as_view(), name="invoice_ubl"),
    path(
        "credit-notes/<str:credit_note_id>/ubl",
        CreditNoteUblView.as_view(),
        name="credit_note_ubl",
    ),
    path("entitlements", EntitlementsView.as_view(), name="entitlements"),
    path("entitlements/check", EntitlementCheckView.as_view(), name="entitlement_check"),
    path("billing-profile", BillingProfileView.as_view(), name="billing_profile"),
    path("balance", BalanceView.as_view(), name="balance"),
    path("statements", StatementsView.as_view(), name="statements"),
    path("statements/<str:statement_id>", StatementView.as_view(), name="statement"),
    path(
        "statements/<str:statement_id>/files/<str:file_name>",
        StatementFileView.as_view(),
        name="statement_file",
    ),
    path("payments", PaymentsView.as_view(), name="payments"),
]
