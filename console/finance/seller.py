"""The seller: who stands on the invoices."""

from typing import Any, Final

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache

from billing.catalog.domain import PlanFaults
from billing.invoicing.services.describe_seller import describe_seller, seller_as_described
from console.access import StaffRequest, staff_page
from console.frame import page
from kernel import clock
from tenants.permissions import StaffAction, staff_may
from ui.billing_details import add_faults


def _text(label: Any, *, longest: int, help_text: Any = "") -> forms.CharField:
    return forms.CharField(label=label, max_length=longest, help_text=help_text, required=False)


class SellerForm(forms.Form):
    """Who issues the invoices."""

    name = _text(_("Legal name"), longest=200)
    street = _text(_("Street and number"), longest=200)
    postal_code = _text(_("Postal code"), longest=20)
    city = _text(_("City"), longest=100)
    subdivision = _text(_("State or province"), longest=100)
    country = _text(_("Country"), longest=2, help_text=_("Two letters, such as CN."))
    address = forms.CharField(
        label=_("Address in lines"),
        help_text=_("Printed where street and city are not given."),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    tax_id = _text(
        _("Tax number"),
        longest=64,
        help_text=_("In the European Union the VAT number with its prefix, such as DE136695976."),
    )
    registration_id = _text(_("Register number"), longest=64)
    email = _text(_("E-mail for questions"), longest=254)
    endpoint_scheme = _text(
        _("Kind of electronic address"),
        longest=4,
        help_text=_("A code of the list EAS, such as 0088 (GLN) or 9930 (German VAT number)."),
    )
    endpoint_id = _text(_("Electronic address"), longest=100)
    iban = _text(_("IBAN or account number"), longest=64)
    bic = _text(_("BIC"), longest=11)
    bank_details = forms.CharField(
        label=_("How to transfer"),
        help_text=_("Printed on invoices as it is."),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    representative_name = _text(
        _("Tax representative"),
        longest=200,
        help_text=_("Who owes the tax in the seller's place; leave it empty where nobody does."),
    )
    representative_street = _text(_("Street of the representative"), longest=200)
    representative_postal_code = _text(_("Postal code of the representative"), longest=20)
    representative_city = _text(_("City of the representative"), longest=100)
    representative_country = _text(_("Country of the representative"), longest=2)
    representative_tax_id = _text(_("VAT number of the representative"), longest=64)


_ROWS: Final = (
    ("name",),
    ("street", "postal_code", "city"),
    ("subdivision", "country"),
    ("address",),
    ("tax_id", "registration_id"),
    ("email", "endpoint_scheme", "endpoint_id"),
    ("iban", "bic"),
    ("bank_details",),
    ("representative_name", "representative_tax_id"),
    ("representative_street", "representative_postal_code"),
    ("representative_city", "representative_country"),
)


@never_cache
@staff_page(action=StaffAction.INVOICES_VIEW, purpose="the seller")
def seller(request: StaffRequest) -> HttpResponse:
    """What stands on invoices from now on. A POST changes it."""
    may = staff_may(role=request.user.staff_role, action=StaffAction.PARTIES_CHANGE)
    form = SellerForm(request.POST or None, initial=dict(seller_as_described()))
    if request.method == "POST" and not may:
        return _page(request, form=SellerForm(initial=dict(seller_as_described())), status=403)
    if request.method == "POST" and form.is_valid():
        given = {**form.cleaned_data, "country": form.cleaned_data["country"].upper()}
        try:
            describe_seller(changes=given, now=clock.now(), actor=f"user:{request.user.pk}")
        except PlanFaults as refused:
            add_faults(form, refused.faults)
        else:
            messages.success(request, gettext("The seller is kept; issued invoices stay."))
            return redirect("console:seller")
    return _page(request, form=form, status=422 if form.errors else 200)


def _page(request: StaffRequest, *, form: SellerForm, status: int) -> HttpResponse:
    return page(
        request,
        "console/seller.html",
        place="seller",
        status=status,
        form=form,
        rows=[[form[name] for name in names] for names in _ROWS],
    )
