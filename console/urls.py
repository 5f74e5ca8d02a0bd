"""Addresses of the console."""

from django.urls import URLPattern, URLResolver, path

from console.finance import (
    balance,
    certificates,
    corrections,
    invoices,
    late_usage,
    overview,
    payments,
    taxes,
)
from console.operations import gateways, ingest, meters, partitions, quarantine, runs
from console.sales import (
    coupons,
    migration,
    plan_comparison,
    plan_editor,
    plans,
    subscription,
    tenants,
    terms,
)
from console.search import search

app_name = "console"

urlpatterns: list[URLPattern | URLResolver] = [
    path("", overview.overview, name="overview"),
    path("search", search, name="search"),
    path("tenants/", tenants.tenant_list, name="tenants"),
    path("tenants/<str:tenant_key>/", tenants.tenant, name="tenant"),
    path("tenants/<str:tenant_key>/terms/", terms.terms, name="terms"),
    path("tenants/<str:tenant_key>/balance/", balance.balance, name="balance"),
    path("tenants/<str:tenant_key>/balance/grant/", balance.grant, name="grant"),
    path("tenants/<str:tenant_key>/change/", subscription.change, name="change_subscription"),
    path(
        "tenants/<str:tenant_key>/changes/<uuid:change_id>/",
        subscription.changed,
        name="changed",
    ),
    path("plans/", plans.plan_list, name="plans"),
    path("plans/<str:plan_key>/", plans.plan, name="plan"),
    path("plans/<str:plan_key>/versions/<int:version>/", plans.cohort, name="cohort"),
    path("plans/<str:plan_key>/versions/<int:version>/migrate/", migration.migrate, name="migrate"),
    path("plan-migrations/<uuid:migration_id>/", migration.migration, name="migration"),
    path(
        "plan-migrations/<uuid:migration_id>/progress",
        migration.migration_progress,
        name="migration_progress",
    ),
    path("plan-editor/", plan_editor.new_plan, name="new_plan"),
    path("plan-editor/<str:plan_key>/", plan_editor.edit_plan, name="edit_plan"),
    path("plan-preview/", plan_editor.preview, name="plan_preview"),
    path("plan-comparison/", plan_comparison.compare, name="compare_plans"),
    path("invoices/", invoices.invoice_list, name="invoices"),
    path("invoices/<uuid:invoice_id>/", invoices.invoice, name="invoice"),
    path("invoices/<uuid:invoice_id>/pdf", invoices.invoice_pdf, name="invoice_pdf"),
    path("invoices/<uuid:invoice_id>/payment", payments.record, name="record_payment"),
    path("payments/", payments.payment_list, name="payments"),
    path("coupons/", coupons.coupons, name="coupons"),
    path("coupons/new/", coupons.new_coupon, name="new_coupon"),
    path("coupons/<str:code>/retire", coupons.retire, name="retire_coupon"),
    path("tenants/<str:tenant_key>/discounts/", coupons.tenant_discounts, name="discounts"),
    path("tax-rates/", taxes.rates, name="tax_rates"),
    path("tax-rates/new/", taxes.new_rate, name="new_tax_rate"),
    path("tenants/<str:tenant_key>/tax/", taxes.standing, name="tax_standing"),
    path("late-usage/", late_usage.late_usage, name="late_usage"),
    path("late-usage/<uuid:subscription_id>/", late_usage.policy, name="late_usage_policy"),
    path("certificates/", certificates.certificate_list, name="certificates"),
    path("certificates/<uuid:certificate_id>/", certificates.certificate, name="certificate"),
    path("corrections/", corrections.correction_list, name="corrections"),
    path("corrections/new/", corrections.new_correction, name="new_correction"),
    path("corrections/<uuid:correction_id>/", corrections.correction, name="correction"),
    path("ingest/", ingest.ingest, name="ingest"),
    path("meters/", meters.meters, name="meters"),
    path("partitions/", partitions.partition_list, name="partitions"),
    path("gateways/", gateways.gateway_list, name="gateways"),
    path("gateways/<str:gateway_key>/revoke", gateways.revoke, name="revoke_gateway"),
    path("gateways/gaps/<uuid:gap_id>", gateways.release, name="release_gap"),
    path("rejected/", quarantine.groups, name="quarantine"),
    path("rejected/<str:tenant_key>/", quarantine.tenants_events, name="rejected_events"),
    path("runs/", runs.run_list, name="runs"),
    path("runs/new/", runs.new_run, name="new_run"),
    path("runs/<uuid:run_id>/", runs.run, name="run"),
    path("runs/<uuid:run_id>/progress", runs.progress, name="run_progress"),
]
