"""Fapiao: all requests, the credit notes that want a red one, and what products are called."""

from typing import Any, Final
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from billing.fapiao.domain.content import FapiaoProduct
from billing.fapiao.domain.states import FapiaoState, RedReason
from billing.fapiao.domain.validation import FapiaoFaults
from billing.fapiao.gateways.configured import fapiao_are_issued
from billing.fapiao.queries import fapiao_file, fapiao_rows, open_credit_notes, product_rows
from billing.fapiao.services.request_red import request_red_fapiao
from billing.fapiao.services.set_product import set_fapiao_product
from console.access import StaffRequest, staff_page
from console.frame import page
from kernel import clock
from kernel.errors import DomainError, NotFound
from tenants.permissions import StaffAction, staff_may
from ui import words
from ui.cells import Link
from ui.errors import message_of
from ui.exports import pdf_response, xml_response
from ui.fapiao import fapiao_columns
from ui.tables import Column, ListState, Table

_ZONE: Final = "UTC"
_TENANT: Final[tuple[Column[Any], ...]] = (
    Column(
        key="tenant",
        label=_("Tenant"),
        value=lambda row: Link(
            text=row.tenant_name, url=reverse("console:tenant", args=[row.tenant_key])
        ),
    ),
)


class ProductForm(forms.Form):
    """What a category of products is called in the tax classification."""

    category = forms.CharField(
        label=_("Products"),
        help_text=_("The tax category of plans and prices; empty: all that have none here."),
        max_length=100,
        required=False,
    )
    name = forms.CharField(
        label=_("Name"), help_text=_("As it stands on the fapiao."), max_length=92
    )
    code = forms.CharField(
        label=_("Tax classification code"), help_text=_("19 digits."), max_length=19
    )
    unit = forms.CharField(label=_("Unit"), max_length=20, required=False)
    specification = forms.CharField(label=_("Specification"), max_length=40, required=False)


@staff_page(action=StaffAction.INVOICES_VIEW, purpose="fapiao list")
def fapiao_list(request: StaffRequest) -> HttpResponse:
    """Newest first. A POST names a product."""
    if request.method != "POST":
        return _page(request, form=ProductForm())
    if not staff_may(role=request.user.staff_role, action=StaffAction.FAPIAO_CHANGE):
        return _page(request, form=ProductForm(), status=403)
    form = ProductForm(request.POST)
    if form.is_valid():
        given = form.cleaned_data
        try:
            set_fapiao_product(
                category=given["category"].strip(),
                product=FapiaoProduct(
                    name=given["name"],
                    code=given["code"],
                    unit=given["unit"],
                    specification=given["specification"],
                ),
                now=clock.now(),
                actor=f"user:{request.user.pk}",
            )
        except FapiaoFaults as refused:
            for fault in refused.faults:
                field = fault.path.removeprefix("product.")
                form.add_error(
                    field if field in form.fields else None,
                    str(words.word("fapiao_fault", fault.code)),
                )
        else:
            messages.success(request, gettext("The product is kept for the next fapiao."))
            return redirect("console:fapiao")
    return _page(request, form=form, status=422)


@require_POST
@staff_page(action=StaffAction.FAPIAO_CHANGE, purpose="ask for a red fapiao")
def ask_red(request: StaffRequest, fapiao_id: UUID) -> HttpResponse:
    """Take an issued one back: for a credit note, or the whole where it was issued in error."""
    note = request.POST.get("credit_note", "")
    try:
        request_red_fapiao(
            fapiao_id=fapiao_id,
            credit_note_id=_note(note) if note else None,
            reason=_reason(request.POST.get("reason", "")),
            now=clock.now(),
            actor=f"user:{request.user.pk}",
        )
    except DomainError as error:
        if error.code == "fapiao_not_found":
            raise
        messages.error(request, message_of(error))
    else:
        messages.success(request, gettext("The red fapiao is asked for."))
    return redirect("console:fapiao")


@staff_page(action=StaffAction.INVOICES_VIEW, purpose="read a fapiao")
def xml(request: StaffRequest, fapiao_id: UUID) -> HttpResponse:
    """The file as the platform issued it."""
    number, content = fapiao_file(fapiao_id=fapiao_id)
    return xml_response(name=f"fapiao-{number}.xml", content=content)


@staff_page(action=StaffAction.INVOICES_VIEW, purpose="read a fapiao")
def pdf(request: StaffRequest, fapiao_id: UUID) -> HttpResponse:
    """The same to be read, where the platform gave one."""
    number, content = fapiao_file(fapiao_id=fapiao_id, media_type="application/pdf")
    return pdf_response(name=f"fapiao-{number}.pdf", content=content)


def _note(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(
            "credit_note_not_found", "There is no such credit note.", field="credit_note"
        ) from None


def _reason(text: str) -> RedReason:
    return RedReason(text) if text in list(RedReason) else RedReason.ISSUED_IN_ERROR


def _page(request: StaffRequest, *, form: ProductForm, status: int = 200) -> HttpResponse:
    state = ListState.read(request.GET, filters={"state": list(FapiaoState)})
    chosen = state.filters.get("state", "")
    found = fapiao_rows(
        state=FapiaoState(chosen) if chosen else None, limit=state.limit, offset=state.offset
    )
    return page(
        request,
        "console/fapiao.html",
        place="fapiao",
        status=status,
        form=form,
        are_issued=fapiao_are_issued(),
        open_notes=open_credit_notes(),
        products=product_rows(),
        reasons=[(each.value, words.word("red_reason", each.value)) for each in RedReason],
        state=state,
        filters=[
            (
                "state",
                _("All states"),
                [
                    (each.value, words.status("fapiao", each).label, chosen == each)
                    for each in FapiaoState
                ],
            )
        ],
        table=Table(
            columns=fapiao_columns(
                zone=_ZONE,
                invoice_url=lambda each: reverse("console:invoice", args=[each]),
                file_url=lambda each: reverse("console:fapiao_xml", args=[each]),
                paper_url=lambda each: reverse("console:fapiao_pdf", args=[each]),
                before=_TENANT,
            ),
            rows=found.rows,
            total=found.total,
            state=state,
            caption=_("Fapiao"),
            empty_title=_("No fapiao yet"),
            empty_text=_("Tenants ask for them in the portal, at their invoices in CNY."),
        ),
        in_error=[
            row for row in found.rows if row.state == FapiaoState.ISSUED and row.color == "blue"
        ],
    )
