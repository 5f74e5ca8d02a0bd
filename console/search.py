"""The search box of every page: an invoice by its number, else tenants by name, key or app key."""

from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode

from billing.invoicing.listings import invoice_numbered
from console.access import StaffRequest, staff_page
from tenants.permissions import StaffAction
from tenants.queries import tenant_rows


@staff_page(action=StaffAction.TENANTS_VIEW, purpose="search")
def search(request: StaffRequest) -> HttpResponse:
    """Straight to the only thing found; else to the list of tenants with the same search."""
    text = request.GET.get("q", "").replace("\0", "").strip()[:200]
    invoice_id = invoice_numbered(number=text.upper()) if text else None
    if invoice_id is not None:
        return redirect("console:invoice", invoice_id=invoice_id)
    found = tenant_rows(search=text, limit=2)
    if text and found.total == 1:
        return redirect("console:tenant", tenant_key=found.rows[0].key)
    return redirect(f"{reverse('console:tenants')}?{urlencode({'q': text})}")
