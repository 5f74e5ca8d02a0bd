"""The frame of a console page: its navigation, by what the person may do."""

from collections.abc import Sequence
from typing import Any, Final

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from console.access import StaffRequest
from tenants.permissions import StaffAction, staff_may
from ui.cells import Text
from ui.navigation import Group, Item

_PLACES: Final[Sequence[tuple[Text, Sequence[tuple[Text, str, str, StaffAction]]]]] = (
    ("", ((_("Overview"), "overview", "dashboard", StaffAction.OVERVIEW_VIEW),)),
    (
        _("Sales"),
        (
            (_("Tenants"), "tenants", "building", StaffAction.TENANTS_VIEW),
            (_("Plans"), "plans", "notebook", StaffAction.PLANS_VIEW),
            (_("Coupons"), "coupons", "file-invoice", StaffAction.COUPONS_VIEW),
        ),
    ),
    (
        _("Finance"),
        (
            (_("Invoices"), "invoices", "file-invoice", StaffAction.INVOICES_VIEW),
            (_("Mail"), "mails", "mail", StaffAction.INVOICES_VIEW),
            (_("Charges"), "charges", "file-invoice", StaffAction.INVOICES_VIEW),
            (
                _("Credits and write-offs"),
                "invoice_requests",
                "file-invoice",
                StaffAction.INVOICES_VIEW,
            ),
            (_("Late usage"), "late_usage", "history", StaffAction.INVOICES_VIEW),
            (_("Corrections"), "corrections", "math-function", StaffAction.USAGE_VIEW),
            (_("Payments"), "payments", "building-bank", StaffAction.INVOICES_VIEW),
            (_("Statements"), "statements", "file-invoice", StaffAction.INVOICES_VIEW),
            (_("Fapiao"), "fapiao", "file-invoice", StaffAction.INVOICES_VIEW),
            (_("Seller"), "seller", "building", StaffAction.INVOICES_VIEW),
            (_("Taxes"), "tax_rates", "file-invoice", StaffAction.TAXES_VIEW),
            (_("Ledger"), "ledger", "notebook", StaffAction.LEDGER_VIEW),
            (_("Accounting months"), "periods", "lock", StaffAction.LEDGER_VIEW),
            (_("Retention"), "retention", "lock", StaffAction.RETENTION_VIEW),
            (_("Daily certificates"), "certificates", "circle-check", StaffAction.LEDGER_VIEW),
        ),
    ),
    (
        _("Operations"),
        (
            (_("Billing runs"), "runs", "player-play", StaffAction.RUNS_VIEW),
            (_("Ingest"), "ingest", "chart-bar", StaffAction.USAGE_VIEW),
            (_("Days and usage"), "days", "history", StaffAction.USAGE_VIEW),
            (_("Meters"), "meters", "notebook", StaffAction.USAGE_VIEW),
            (_("Raw events"), "partitions", "history", StaffAction.RUNS_VIEW),
            (_("Gateways"), "gateways", "activity", StaffAction.GATEWAYS_VIEW),
            (_("Rejected events"), "quarantine", "alert-triangle", StaffAction.USAGE_VIEW),
        ),
    ),
)


def page(
    request: StaffRequest,
    template: str,
    *,
    place: str,
    status: int = 200,
    **context: Any,
) -> HttpResponse:
    """Render a console page; `place` is the address name of the navigation entry it belongs to."""
    role = request.user.staff_role
    groups = []
    for label, places in _PLACES:
        items = [
            Item(label=name, url=reverse(f"console:{where}"), icon=icon, current=where == place)
            for name, where, icon, action in places
            if staff_may(role=role, action=action)
        ]
        if items:
            groups.append(Group(label=label, items=items))
    frame = {
        "navigation": groups,
        "home_url": reverse("console:overview"),
        "may": {action.name.lower(): staff_may(role=role, action=action) for action in StaffAction},
    }
    return render(request, template, {**frame, **context}, status=status)
