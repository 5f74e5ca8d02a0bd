"""Who gets the tenant's documents by mail."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing.mailing.gateways.configured import mail_is_sent
from billing.mailing.queries import Recipients, recipients_of
from billing.mailing.services.set_recipients import set_recipients
from kernel import clock
from kernel.errors import Invalid
from portal.access import Here, member_page
from portal.frame import page
from tenants.permissions import MemberAction
from ui.errors import message_of


class RecipientsForm(forms.Form):
    """Whether, and to whom."""

    is_on = forms.BooleanField(label=_("Mail each invoice when it is issued"), required=False)
    to_members = forms.BooleanField(label=_("To members with the billing role"), required=False)
    addresses = forms.CharField(
        label=_("Further addresses"),
        help_text=_("One a line."),
        required=False,
        max_length=5200,
        widget=forms.Textarea(attrs={"rows": 4}),
    )


@member_page(action=MemberAction.INVOICES_VIEW)
def recipients(request: HttpRequest, here: Here) -> HttpResponse:
    """What was said, and to whom the next one goes. A POST says it anew."""
    told = recipients_of(tenant_id=here.tenant_id)
    if request.method != "POST":
        return _page(request, here, told, form=RecipientsForm(initial=_said(told)))
    if not here.may(MemberAction.INVOICES_PAY):
        return _page(request, here, told, form=RecipientsForm(initial=_said(told)), status=403)
    form = RecipientsForm(request.POST)
    if form.is_valid():
        given = form.cleaned_data
        try:
            set_recipients(
                tenant_id=here.tenant_id,
                is_on=given["is_on"],
                to_members=given["to_members"],
                addresses=given["addresses"].splitlines(),
                now=clock.now(),
                actor=here.actor,
            )
        except Invalid as refused:
            form.add_error("addresses", message_of(refused))
        else:
            messages.success(request, gettext("Kept for your next invoices."))
            return redirect("portal:mail", tenant_key=here.tenant_key)
    return _page(request, here, told, form=form, status=422)


def _said(told: Recipients) -> dict[str, Any]:
    return {
        "is_on": told.is_on,
        "to_members": told.to_members,
        "addresses": "\n".join(told.addresses),
    }


def _page(
    request: HttpRequest, here: Here, told: Recipients, *, form: RecipientsForm, status: int = 200
) -> HttpResponse:
    return page(
        request,
        here,
        "portal/mail.html",
        place="invoices",
        status=status,
        form=form,
        recipients=told.all if told.is_on else [],
        mail_is_sent=mail_is_sent(),
    )
