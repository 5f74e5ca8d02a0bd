"""Taxes: the dated rates, adding one, and what a tenant's own standing says."""

from decimal import Decimal
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache

from billing.catalog.domain import PlanFaults
from billing.invoicing.tax_reach import TaxReach, tax_reach
from billing.taxes.domain.rules import Rate, Supply, TaxCode
from billing.taxes.queries import rate_page
from billing.taxes.services.add_rate import AddedRate, add_rate, preview_rate
from console.access import StaffRequest, staff_page
from console.frame import page
from kernel import clock
from kernel.decimals import parse_decimal, plain_text
from kernel.errors import DomainError
from tenants.domain import TaxTreatment
from tenants.permissions import StaffAction
from tenants.queries import tenant_profile, trail_of
from tenants.services.set_tax import TaxStanding, set_tax, tax_standing
from ui import words
from ui.errors import message_of
from ui.tables import Column, ListState, Table

_TRAIL: Final = 20

RATE_COLUMNS: Final[tuple[Column[Rate], ...]] = (
    Column(key="jurisdiction", label=_("Country"), value=lambda row: row.jurisdiction),
    Column(key="category", label=_("Products"), value=lambda row: row.category),
    Column(key="supply", label=_("Supply"), value=lambda row: words.word("supply", row.supply)),
    Column(
        key="rate",
        label=_("Rate"),
        value=lambda row: (
            f"{plain_text(row.percent)} %" if row.percent else words.word("tax_code", row.code)
        ),
        numeric=True,
    ),
    Column(key="from", label=_("From"), value=lambda row: row.valid_from),
    Column(key="to", label=_("To before"), value=lambda row: row.valid_to),
    Column(
        key="text",
        label=_("Text on invoices"),
        value=lambda row: "; ".join(row.text.values()) or None,
        minor=True,
    ),
)


class RateForm(forms.Form):
    """One dated rate."""

    jurisdiction = forms.RegexField(
        r"\A[A-Za-z]{2}\Z",
        label=_("Country"),
        help_text=_("Two letters, such as CN."),
        max_length=2,
        error_messages={"invalid": _("Write two letters, such as CN.")},
    )
    category = forms.RegexField(
        r"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\Z",
        label=_("Products"),
        help_text=_("The tax category of plans and prices, such as software_service."),
        max_length=100,
        error_messages={"invalid": _("Write letters, digits, dots, dashes and underscores.")},
    )
    supply = forms.ChoiceField(
        label=_("Supply"), help_text=_("Where seller and tenant are, seen from the country.")
    )
    code = forms.ChoiceField(label=_("Kind"))
    percent = forms.CharField(
        label=_("Percent"),
        help_text=_("Only of a standard rate, such as 6."),
        required=False,
        max_length=20,
    )
    valid_from = forms.DateField(
        label=_("From"),
        help_text=_("What is in force now ends on this day; periods that span it are split."),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        input_formats=["%Y-%m-%d"],
    )
    text_en = forms.CharField(
        label=_("Text on invoices, English"),
        help_text=_("A reverse charge must say so."),
        required=False,
        max_length=200,
    )
    text_zh = forms.CharField(label=_("Text on invoices, Chinese"), required=False, max_length=200)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["supply"].choices = [  # type: ignore[attr-defined]  # of ChoiceField
            (each.value, words.word("supply", each.value)) for each in Supply
        ]
        self.fields["code"].choices = [  # type: ignore[attr-defined]  # of ChoiceField
            (each.value, words.word("tax_code", each.value))
            for each in TaxCode
            if each is not TaxCode.NONE
        ]

    def rate(self) -> Rate:
        """The rate that was written. Raises Invalid as `parse_decimal`."""
        given = self.cleaned_data
        percent = given["percent"].strip()
        texts = {"en": given["text_en"].strip(), "zh-hans": given["text_zh"].strip()}
        return Rate(
            jurisdiction=given["jurisdiction"].upper(),
            category=given["category"],
            supply=Supply(given["supply"]),
            code=TaxCode(given["code"]),
            percent=parse_decimal(percent, field="percent") if percent else Decimal(0),
            valid_from=given["valid_from"],
            text={language: text for language, text in texts.items() if text},
        )


class StandingForm(forms.Form):
    """What a tenant's record says of its taxes."""

    country = forms.RegexField(
        r"\A[A-Za-z]{2}\Z",
        label=_("Country"),
        help_text=_("Two letters, such as DE; left empty, it counts as the seller's."),
        max_length=2,
        required=False,
        error_messages={"invalid": _("Write two letters, such as CN.")},
    )
    tax_id = forms.CharField(
        label=_("Tax number"),
        help_text=_("Of a business, as its invoices name it, such as DE123456789."),
        max_length=64,
        required=False,
    )
    treatment = forms.ChoiceField(label=_("Treatment"), required=False)
    percent = forms.CharField(
        label=_("A percentage of its own"),
        help_text=_("Where plan and price say nothing."),
        required=False,
        max_length=20,
    )
    evidence = forms.CharField(
        label=_("Evidence"),
        help_text=_(
            "What shows it: the certificate's number, the check of the tax number, the contract. "
            "An exemption and a reverse charge need it."
        ),
        required=False,
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 2}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["treatment"].choices = [  # type: ignore[attr-defined]  # of ChoiceField
            (each.value, words.word("tax_treatment", each.value or "unsaid"))
            for each in TaxTreatment
        ]

    def standing(self) -> TaxStanding:
        """What was written. Raises Invalid as `parse_decimal`."""
        given = self.cleaned_data
        percent = given["percent"].strip()
        return TaxStanding(
            country=given["country"].upper(),
            tax_id=given["tax_id"].strip(),
            treatment=TaxTreatment(given["treatment"]),
            percent=parse_decimal(percent, field="percent") if percent else None,
        )


@staff_page(action=StaffAction.TAXES_VIEW, purpose="rates of tax")
def rates(request: StaffRequest) -> HttpResponse:
    """By country, products and supply, the newest first."""
    state = ListState.read(request.GET)
    found, total = rate_page(limit=state.limit, offset=state.offset)
    table = Table(
        columns=RATE_COLUMNS,
        rows=found,
        total=total,
        state=state,
        caption=_("Rates of tax"),
        empty_title=_("No rates yet"),
        empty_text=_("No tax is looked up before there are rates; check them with a tax adviser."),
    )
    return page(request, "console/tax_rates.html", place="tax_rates", table=table)


@never_cache
@staff_page(action=StaffAction.TAXES_CHANGE, purpose="add a rate of tax")
def new_rate(request: StaffRequest) -> HttpResponse:
    """A form; then what the rate ends and whom it may concern; then the rate."""
    form = RateForm(request.POST or None, initial={"code": TaxCode.STANDARD.value})
    added: AddedRate | None = None
    reach: TaxReach | None = None
    rate: Rate | None = None
    if form.is_bound and form.is_valid() and "back" not in request.POST:
        actor = f"user:{request.user.pk}"
        try:
            rate = form.rate()
            if "add" in request.POST:
                add_rate(rate=rate, now=clock.now(), actor=actor)
                messages.success(request, gettext("The rate is added."))
                return redirect("console:tax_rates")
            added = preview_rate(rate=rate, now=clock.now(), actor=actor)
            reach = tax_reach(jurisdiction=rate.jurisdiction, supply=rate.supply)
        except PlanFaults as refusal:
            for fault in refusal.faults:
                field = fault.path.rpartition(".")[2]
                field = "text_en" if field == "text" else field
                form.add_error(field if field in form.fields else None, fault.message)
        except DomainError as error:
            form.add_error(error.field if error.field in form.fields else None, message_of(error))
    return page(
        request,
        "console/tax_rate.html",
        place="tax_rates",
        status=422 if form.errors else 200,
        form=form,
        rate=rate if added is not None else None,
        kind=words.word("tax_code", rate.code) if rate is not None else "",
        percent=f"{plain_text(rate.percent)} %" if rate is not None and rate.percent else "",
        before=added.before if added is not None else None,
        before_rate=f"{plain_text(added.before.percent)} %"
        if added is not None and added.before is not None and added.before.percent
        else words.word("tax_code", added.before.code)
        if added is not None and added.before is not None
        else "",
        is_stored=added is not None and not added.loaded.created,
        reach=reach,
    )


@never_cache
@staff_page(action=StaffAction.TAXES_CHANGE, purpose="tax standing of a tenant")
def standing(request: StaffRequest, tenant_key: str) -> HttpResponse:
    """What the record says, changing it with its evidence, and all that it said before."""
    profile = tenant_profile(key=tenant_key)
    held = tax_standing(tenant_key=tenant_key)
    form = StandingForm(
        request.POST or None,
        initial={
            "country": held.country,
            "tax_id": held.tax_id,
            "treatment": held.treatment.value,
            "percent": "" if held.percent is None else plain_text(held.percent),
        },
    )
    if request.method == "POST" and form.is_valid():
        try:
            set_tax(
                tenant_key=tenant_key,
                standing=form.standing(),
                evidence=form.cleaned_data["evidence"],
                needs_evidence=True,
                now=clock.now(),
                actor=f"user:{request.user.pk}",
            )
        except DomainError as error:
            field = {"tax_percent": "percent"}.get(error.field or "", error.field)
            form.add_error(field if field in form.fields else None, message_of(error))
        else:
            messages.success(request, gettext("The tax standing is recorded."))
            return redirect("console:tenant", tenant_key=tenant_key)
    return page(
        request,
        "console/tax_standing.html",
        place="tenants",
        status=422 if form.errors else 200,
        profile=profile,
        form=form,
        zone=profile.timezone,
        trail=[
            each
            for each in trail_of(tenant_id=profile.id, target=f"tenant:{profile.key}", limit=_TRAIL)
            if each.action == "tenant.tax_set"
        ],
    )
