"""The frame of a portal page: its navigation, by what the member may do, and the other tenants."""

from collections.abc import Sequence
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from portal.access import Here
from tenants.permissions import MemberAction
from ui.cells import Text
from ui.navigation import Group, Item

_PLACES: Final[Sequence[tuple[Text, str, str, MemberAction]]] = (
    (_("Home"), "home", "home", MemberAction.HOME_VIEW),
    (_("Usage"), "usage", "chart-bar", MemberAction.USAGE_VIEW),
    (_("Plan"), "plan", "notebook", MemberAction.PLAN_VIEW),
    (_("Invoices"), "invoices", "file-invoice", MemberAction.INVOICES_VIEW),
    (_("Statements"), "statements", "file-invoice", MemberAction.INVOICES_VIEW),
    (_("Balance"), "balance", "building-bank", MemberAction.INVOICES_VIEW),
    (_("API keys"), "keys", "key", MemberAction.KEYS_VIEW),
    (_("Members"), "members", "users", MemberAction.MEMBERS_VIEW),
)


def page(
    request: HttpRequest,
    here: Here,
    template: str,
    *,
    place: str,
    status: int = 200,
    **context: Any,
) -> HttpResponse:
    """Render a portal page; `place` is the address name of the navigation entry it belongs to."""
    items = [
        Item(
            label=label,
            url=reverse(f"portal:{where}", args=[here.tenant_key]),
            icon=icon,
            current=where == place,
        )
        for label, where, icon, action in _PLACES
        if here.may(action)
    ]
    frame = {
        "navigation": [Group(items=items)],
        "home_url": reverse("portal:home", args=[here.tenant_key]),
        "here": here.membership,
        "memberships": here.memberships,
        "may": {action.name.lower(): here.may(action) for action in MemberAction},
    }
    return render(request, template, {**frame, **context}, status=status)
