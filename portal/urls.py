"""Addresses of the portal; all but the first hold the tenant's key."""

from django.urls import URLPattern, URLResolver, path

from portal import (
    balance,
    billing_details,
    certificate,
    consolidation,
    credit_notes,
    electronic,
    fapiao,
    home,
    invoices,
    keys,
    mail,
    members,
    payment,
    plan,
    plan_change,
    proformas,
    proof,
    rejected,
    statements,
    top_up,
    usage,
)

app_name = "portal"

urlpatterns: list[URLPattern | URLResolver] = [
    path("", home.tenants, name="tenants"),
    path("<str:tenant_key>/", home.home, name="home"),
    path("<str:tenant_key>/usage/", usage.usage, name="usage"),
    path("<str:tenant_key>/usage/certificate/", certificate.certificate, name="certificate"),
    path("<str:tenant_key>/usage/proof/", proof.proof, name="proof"),
    path("<str:tenant_key>/usage/rejected/", rejected.rejected, name="rejected"),
    path("<str:tenant_key>/plan/", plan.plan, name="plan"),
    path("<str:tenant_key>/plan/consolidation", consolidation.consolidation, name="consolidation"),
    path("<str:tenant_key>/plan/change/", plan_change.change, name="change_plan"),
    path("<str:tenant_key>/plan/changes/<uuid:change_id>/", plan_change.changed, name="changed"),
    path("<str:tenant_key>/invoices/", invoices.invoice_list, name="invoices"),
    path("<str:tenant_key>/invoices/<uuid:invoice_id>/", invoices.invoice, name="invoice"),
    path(
        "<str:tenant_key>/invoices/<uuid:invoice_id>/pdf", invoices.invoice_pdf, name="invoice_pdf"
    ),
    path("<str:tenant_key>/invoices/<uuid:invoice_id>/pay/", payment.pay, name="pay"),
    path(
        "<str:tenant_key>/invoices/<uuid:invoice_id>/pay/bank",
        payment.answer_bank,
        name="answer_bank",
    ),
    path(
        "<str:tenant_key>/invoices/<uuid:invoice_id>/paid/<uuid:attempt_id>/",
        payment.paid,
        name="paid",
    ),
    path("<str:tenant_key>/invoices/<uuid:invoice_id>/fapiao", fapiao.ask, name="ask_fapiao"),
    path(
        "<str:tenant_key>/billing-details/",
        billing_details.billing_details,
        name="billing_details",
    ),
    path(
        "<str:tenant_key>/invoices/<uuid:invoice_id>/ubl",
        electronic.invoice_ubl,
        name="invoice_ubl",
    ),
    path("<str:tenant_key>/credit-notes/", credit_notes.credit_note_list, name="credit_notes"),
    path(
        "<str:tenant_key>/credit-notes/<uuid:credit_note_id>/",
        credit_notes.credit_note,
        name="credit_note",
    ),
    path(
        "<str:tenant_key>/credit-notes/<uuid:credit_note_id>/pdf",
        credit_notes.credit_note_pdf,
        name="credit_note_pdf",
    ),
    path(
        "<str:tenant_key>/credit-notes/<uuid:credit_note_id>/ubl",
        electronic.credit_note_ubl,
        name="credit_note_ubl",
    ),
    path("<str:tenant_key>/fapiao/", fapiao.fapiao_list, name="fapiao"),
    path("<str:tenant_key>/fapiao/<uuid:fapiao_id>/xml", fapiao.xml, name="fapiao_xml"),
    path("<str:tenant_key>/fapiao/<uuid:fapiao_id>/pdf", fapiao.pdf, name="fapiao_pdf"),
    path("<str:tenant_key>/invoice-mail/", mail.recipients, name="mail"),
    path("<str:tenant_key>/statements/", statements.statement_list, name="statements"),
    path("<str:tenant_key>/statements/monthly", statements.set_monthly, name="monthly_statements"),
    path(
        "<str:tenant_key>/statements/<uuid:statement_id>/", statements.statement, name="statement"
    ),
    path(
        "<str:tenant_key>/statements/<uuid:statement_id>/files/<str:file_name>",
        statements.statement_file_of,
        name="statement_file",
    ),
    path("<str:tenant_key>/pro-formas/", proformas.proforma_list, name="proformas"),
    path("<str:tenant_key>/pro-formas/new", proformas.make, name="make_proforma"),
    path("<str:tenant_key>/pro-formas/<uuid:proforma_id>/pdf", proformas.pdf, name="proforma_pdf"),
    path("<str:tenant_key>/balance/", balance.balance, name="balance"),
    path("<str:tenant_key>/balance/top-up/", top_up.top_up, name="top_up"),
    path("<str:tenant_key>/balance/top-ups/<uuid:top_up_id>/", top_up.topped_up, name="topped_up"),
    path("<str:tenant_key>/keys/", keys.key_list, name="keys"),
    path("<str:tenant_key>/keys/<uuid:key_id>/revoke", keys.revoke, name="revoke_key"),
    path("<str:tenant_key>/members/", members.member_list, name="members"),
]
