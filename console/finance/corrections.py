"""Corrections of closed days: asked for with a reason, their effect shown, approved by somebody else."""

from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing.invoicing.services.preview_correction import CorrectionEffect, preview_correction
from console.access import StaffRequest, staff_page
from console.frame import page
from kernel import clock
from kernel.errors import DomainError
from metering import queries as metering
from metering.corrections.queries import (
    RequestedCorrection,
    requested_correction,
    requested_corrections,
)
from metering.corrections.services.decide_correction import approve_correction, refuse_correction
from metering.corrections.services.request_correction import (
    AskedCorrection,
    CheckedCorrection,
    check_correction,
    request_correction,
)
from tenants.permissions import StaffAction, staff_may
from tenants.queries import people_of
from tenants.two_people import GOOD_FOR
from ui import words
from ui.cells import Cell, Instant, Link
from ui.errors import message_of
from ui.tables import Column, ListState, Table

_ZONE: Final = "UTC"


def _tenant(row: RequestedCorrection) -> Cell:
    return Link(
        text=row.tenant_name, url=reverse("console:correction", args=[row.id]), note=row.app
    )


COLUMNS: Final[tuple[Column[RequestedCorrection], ...]] = (
    Column(key="tenant", label=_("Tenant"), value=_tenant),
    Column(key="meter", label=_("Meter"), value=lambda row: words.word("meter", row.meter)),
    Column(key="day", label=_("Day"), value=lambda row: row.day),
    Column(key="before", label=_("Was"), value=lambda row: row.value_before, numeric=True),
    Column(key="value", label=_("Becomes"), value=lambda row: row.value, numeric=True),
    Column(key="state", label=_("State"), value=lambda row: words.status("correction", row.state)),
    Column(
        key="at",
        label=_("Asked for (UTC)"),
        value=lambda row: Instant(at=row.requested_at, zone=_ZONE),
        minor=True,
    ),
    Column(key="reason", label=_("Reason"), value=lambda row: row.reason, minor=True),
)


class CorrectionForm(forms.Form):
    """What a day's usage should have been."""

    app = forms.CharField(label=_("App"), help_text=_("The app's key."), max_length=100)
    meter = forms.ChoiceField(label=_("Meter"))
    kind = forms.CharField(
        label=_("Kind"),
        help_text=_("Only where the usage is kept by kind, such as single or group."),
        max_length=64,
        required=False,
    )
    day = forms.DateField(
        label=_("Closed day"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    value = forms.DecimalField(
        label=_("Right value"),
        help_text=_("What the day's usage should be, corrections so far included."),
        max_digits=30,
        decimal_places=12,
        min_value=Decimal(0),
    )
    reason = forms.CharField(
        label=_("Reason"),
        help_text=_("It is kept with the correction and in the audit trail."),
        max_length=200,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        meters = metering.known_meters()
        own = [key for key, meter in meters.items() if meter.marks == key]
        self.fields["meter"].choices = [(key, words.word("meter", key)) for key in own]  # type: ignore[attr-defined]  # a choice field

    def asked(self) -> AskedCorrection:
        """What the valid form asks for."""
        given = self.cleaned_data
        return AskedCorrection(
            app=given["app"].strip(),
            meter=given["meter"],
            day=given["day"],
            value=given["value"],
            kind=given["kind"].strip(),
        )


@staff_page(action=StaffAction.USAGE_VIEW, purpose="corrections list")
def correction_list(request: StaffRequest) -> HttpResponse:
    """Newest first."""
    state = ListState.read(request.GET)
    rows, total = requested_corrections(limit=state.limit, offset=state.offset)
    table = Table(
        columns=COLUMNS,
        rows=rows,
        total=total,
        state=state,
        caption=_("Corrections"),
        empty_title=_("No correction was asked for"),
        empty_text=_(
            "Late events correct closed days by themselves; this is for what they can't tell."
        ),
    )
    return page(request, "console/corrections.html", place="corrections", table=table)


@staff_page(action=StaffAction.USAGE_CORRECT, purpose="ask for a correction")
def new_correction(request: StaffRequest) -> HttpResponse:
    """A form; the first POST shows the effect, the one with `accepted` asks for the correction."""
    form = CorrectionForm(request.POST or None)
    checked, effect = None, None
    if request.method == "POST" and form.is_valid():
        now = clock.now()
        try:
            if request.POST.get("accepted") == "yes":
                correction_id = request_correction(
                    asked=form.asked(),
                    reason=form.cleaned_data["reason"],
                    now=now,
                    actor=f"user:{request.user.pk}",
                )
                messages.success(request, gettext("Asked for. Somebody else has to approve it."))
                return redirect("console:correction", correction_id=correction_id)
            checked = check_correction(form.asked())
            effect = preview_correction(correction=checked, now=now)
        except DomainError as error:
            form.add_error(error.field if error.field in form.fields else None, message_of(error))
    return page(
        request,
        "console/new_correction.html",
        place="corrections",
        status=422 if form.errors else 200,
        form=form,
        checked=checked,
        effect=effect,
    )


@staff_page(action=StaffAction.USAGE_VIEW, purpose="correction")
def correction(request: StaffRequest, correction_id: UUID) -> HttpResponse:
    """One correction with its effect; a POST approves or refuses it."""
    actor, now = f"user:{request.user.pk}", clock.now()
    may_decide = staff_may(role=request.user.staff_role, action=StaffAction.USAGE_CORRECT)
    status, fault = 200, ""
    if request.method == "POST":
        if not may_decide:
            status = 403
        else:
            try:
                if request.POST.get("decision") == "approve":
                    approve_correction(correction_id=correction_id, now=now, actor=actor)
                    messages.success(request, gettext("The correction is applied."))
                else:
                    refuse_correction(correction_id=correction_id, now=now, actor=actor)
                    messages.success(request, gettext("The correction is refused."))
            except DomainError as error:
                status, fault = 409, message_of(error)
            else:
                return redirect("console:correction", correction_id=correction_id)
    shown = requested_correction(correction_id=correction_id)
    people = people_of({shown.requested_by, shown.decided_by})
    return page(
        request,
        "console/correction.html",
        place="corrections",
        status=status,
        fault=fault,
        shown=shown,
        asked_by=people.get(shown.requested_by, shown.requested_by),
        decided_by=people.get(shown.decided_by, shown.decided_by),
        effect=_effect(shown, now=now) if shown.state == "waiting" else None,
        good_until=shown.requested_at + GOOD_FOR,
        is_own=shown.requested_by == actor,
        may_decide=may_decide,
        is_over=now - shown.requested_at > GOOD_FOR,
    )


def _effect(shown: RequestedCorrection, *, now: datetime) -> CorrectionEffect:
    return preview_correction(
        correction=CheckedCorrection(
            tenant_id=shown.tenant_id,
            app_id=shown.app_id,
            meter=shown.meter,
            day=shown.day,
            kind=shown.kind,
            value_before=shown.value_before,
            value=shown.value,
        ),
        now=now,
    )
