"""Exchange rates by which a tax is told in the seller's national currency."""

from typing import Final

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing.exchange.domain import ExchangeRate
from billing.exchange.queries import rate_page
from billing.exchange.services.store_rates import RateFaults, store_rates
from console.access import StaffRequest, staff_page
from console.frame import page
from kernel import clock
from kernel.decimals import plain_text
from tenants.permissions import StaffAction, staff_may
from ui import words
from ui.tables import Column, ListState, Table

COLUMNS: Final[tuple[Column[ExchangeRate], ...]] = (
    Column(key="on", label=_("Day"), value=lambda row: row.on),
    Column(key="base", label=_("One unit of"), value=lambda row: row.base),
    Column(key="rate", label=_("Rate"), value=lambda row: plain_text(row.rate), numeric=True),
    Column(key="quote", label=_("In"), value=lambda row: row.quote),
    Column(key="source", label=_("Published by"), value=lambda row: row.source, minor=True),
)


class ExchangeRateForm(forms.Form):
    """One published rate."""

    on = forms.DateField(
        label=_("Day"),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        input_formats=["%Y-%m-%d"],
    )
    base = forms.CharField(label=_("One unit of"), help_text=_("Such as EUR."), max_length=3)
    rate = forms.CharField(label=_("Rate"), help_text=_("Such as 7.8051."), max_length=30)
    quote = forms.CharField(label=_("In"), help_text=_("Such as CNY."), max_length=3)
    source = forms.CharField(
        label=_("Published by"), help_text=_("Such as ECB; it stands on invoices."), max_length=100
    )


@staff_page(action=StaffAction.TAXES_VIEW, purpose="exchange rates")
def exchange_rates(request: StaffRequest) -> HttpResponse:
    """The newest day first. A POST adds one, or puts that of its day right."""
    if request.method != "POST":
        return _page(request, form=ExchangeRateForm())
    if not staff_may(role=request.user.staff_role, action=StaffAction.TAXES_CHANGE):
        return _page(request, form=ExchangeRateForm(), status=403)
    form = ExchangeRateForm(request.POST)
    if form.is_valid():
        given = form.cleaned_data
        row = {
            "on": given["on"].isoformat(),
            "base": given["base"].upper(),
            "quote": given["quote"].upper(),
            "rate": given["rate"],
            "source": given["source"],
        }
        try:
            store_rates(rows=[row], now=clock.now(), actor=f"user:{request.user.pk}")
        except RateFaults as refused:
            for fault in refused.faults:
                form.add_error(
                    fault.path.rpartition(".")[2], str(words.word("rate_fault", fault.code))
                )
        else:
            messages.success(request, gettext("The rate is kept; issued invoices stay."))
            return redirect("console:exchange_rates")
    return _page(request, form=form, status=422)


def _page(request: StaffRequest, *, form: ExchangeRateForm, status: int = 200) -> HttpResponse:
    state = ListState.read(request.GET)
    found, total = rate_page(limit=state.limit, offset=state.offset)
    table = Table(
        columns=COLUMNS,
        rows=found,
        total=total,
        state=state,
        caption=_("Exchange rates"),
        empty_title=_("No exchange rates yet"),
        empty_text=_("They are needed where an invoice with tax is in another currency."),
    )
    return page(
        request,
        "console/exchange_rates.html",
        place="tax_rates",
        status=status,
        table=table,
        form=form,
    )
