"""Fapiao: for whom they are issued, asking for that of an invoice, and the list with its files."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from billing.fapiao.domain.content import FapiaoTitle
from billing.fapiao.domain.states import BuyerType, FapiaoKind
from billing.fapiao.domain.validation import FapiaoFaults
from billing.fapiao.gateways.configured import fapiao_are_issued
from billing.fapiao.queries import fapiao_file, fapiao_rows
from billing.fapiao.services.request_fapiao import fapiao_title, request_fapiao
from billing.fapiao.services.set_buyer import set_fapiao_buyer
from kernel import clock
from kernel.errors import DomainError
from portal.access import Here, member_page
from portal.frame import page
from tenants.permissions import MemberAction
from tenants.queries import tenant_profile_by_id
from ui import words
from ui.errors import message_of
from ui.exports import pdf_response, xml_response
from ui.fapiao import fapiao_columns
from ui.tables import ListState, Table


class BuyerForm(forms.Form):
    """For whom fapiao are issued."""

    kind = forms.ChoiceField(label=_("Kind"))
    buyer_type = forms.ChoiceField(label=_("Issued to"))
    name = forms.CharField(
        label=_("Name"), help_text=_("As the business licence says it."), max_length=100
    )
    tax_id = forms.CharField(
        label=_("Tax number"),
        help_text=_("The unified social credit code; people leave it empty."),
        max_length=20,
        required=False,
    )
    address = forms.CharField(label=_("Address"), max_length=100, required=False)
    phone = forms.CharField(label=_("Phone"), max_length=100, required=False)
    bank = forms.CharField(label=_("Bank"), max_length=100, required=False)
    bank_account = forms.CharField(label=_("Bank account"), max_length=100, required=False)
    email = forms.EmailField(label=_("E-mail"), required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, kind in (("kind", FapiaoKind), ("buyer_type", BuyerType)):
            self.fields[name].choices = [  # type: ignore[attr-defined]  # of ChoiceField
                (each.value, words.word("fapiao", each.value)) for each in kind
            ]

    def title(self) -> FapiaoTitle:
        """What was written."""
        given = self.cleaned_data
        return FapiaoTitle(
            kind=FapiaoKind(given["kind"]),
            buyer_type=BuyerType(given["buyer_type"]),
            name=given["name"],
            tax_id=given["tax_id"].upper(),
            address=given["address"],
            phone=given["phone"],
            bank=given["bank"],
            bank_account=given["bank_account"],
            email=given["email"],
        )


@member_page(action=MemberAction.INVOICES_VIEW)
def fapiao_list(request: HttpRequest, here: Here) -> HttpResponse:
    """Newest first. A POST says for whom they are issued."""
    title = fapiao_title(tenant_id=here.tenant_id)
    if request.method != "POST":
        if title is None:
            initial = _as_registered(here)
        else:
            initial = {name: getattr(title, name) for name in BuyerForm.base_fields}
        return _page(request, here, form=BuyerForm(initial=initial))
    if not here.may(MemberAction.INVOICES_PAY):
        return _page(request, here, form=BuyerForm(), status=403)
    form = BuyerForm(request.POST)
    if form.is_valid():
        try:
            set_fapiao_buyer(
                tenant_id=here.tenant_id, title=form.title(), now=clock.now(), actor=here.actor
            )
        except FapiaoFaults as refused:
            for fault in refused.faults:
                field = fault.path.removeprefix("buyer.")
                field = "buyer_type" if field == "type" else field
                form.add_error(
                    field if field in form.fields else None,
                    str(words.word("fapiao_fault", fault.code)),
                )
        else:
            messages.success(request, gettext("Kept for your next fapiao."))
            return redirect("portal:fapiao", tenant_key=here.tenant_key)
    return _page(request, here, form=form, status=422)


@require_POST
@member_page(action=MemberAction.INVOICES_PAY)
def ask(request: HttpRequest, here: Here, invoice_id: UUID) -> HttpResponse:
    """Ask for the fapiao of an invoice; what is wrong is said in the list."""
    try:
        request_fapiao(
            tenant_id=here.tenant_id, invoice_id=invoice_id, now=clock.now(), actor=here.actor
        )
    except DomainError as error:
        if error.code == "invoice_not_found":
            raise
        messages.error(request, message_of(error))
    else:
        messages.success(request, gettext("The fapiao is asked for; the tax platform issues it."))
    return redirect("portal:fapiao", tenant_key=here.tenant_key)


@member_page(action=MemberAction.INVOICES_VIEW)
def xml(request: HttpRequest, here: Here, fapiao_id: UUID) -> HttpResponse:
    """The file as the platform issued it."""
    number, content = fapiao_file(fapiao_id=fapiao_id, tenant_id=here.tenant_id)
    return xml_response(name=f"fapiao-{number}.xml", content=content)


@member_page(action=MemberAction.INVOICES_VIEW)
def pdf(request: HttpRequest, here: Here, fapiao_id: UUID) -> HttpResponse:
    """The same to be read, where the platform gave one."""
    number, content = fapiao_file(
        fapiao_id=fapiao_id, tenant_id=here.tenant_id, media_type="application/pdf"
    )
    return pdf_response(name=f"fapiao-{number}.pdf", content=content)


def _as_registered(here: Here) -> dict[str, str]:
    """Most organisations are invoiced under the name under which their fapiao are issued."""
    profile = tenant_profile_by_id(tenant_id=here.tenant_id)
    return {"name": profile.name, "tax_id": profile.tax_id}


def _page(request: HttpRequest, here: Here, *, form: BuyerForm, status: int = 200) -> HttpResponse:
    zone = tenant_profile_by_id(tenant_id=here.tenant_id).timezone
    state = ListState.read(request.GET)
    found = fapiao_rows(tenant_id=here.tenant_id, limit=state.limit, offset=state.offset)
    return page(
        request,
        here,
        "portal/fapiao.html",
        place="invoices",
        status=status,
        form=form,
        are_issued=fapiao_are_issued(),
        table=Table(
            columns=fapiao_columns(
                zone=zone,
                invoice_url=lambda each: reverse("portal:invoice", args=[here.tenant_key, each]),
                file_url=lambda each: reverse("portal:fapiao_xml", args=[here.tenant_key, each]),
                paper_url=lambda each: reverse("portal:fapiao_pdf", args=[here.tenant_key, each]),
            ),
            rows=found.rows,
            total=found.total,
            state=state,
            caption=_("Fapiao"),
            empty_title=_("No fapiao yet"),
            empty_text=_("Open an invoice in CNY and ask for its fapiao there."),
        ),
    )
