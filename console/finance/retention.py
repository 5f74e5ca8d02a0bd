"""Retention: how long what is kept, legal holds of tenants, and the files that are gone."""

from typing import Any, Final
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from billing.retention.domain import MOST_YEARS, RecordKind
from billing.retention.queries import RemovedRow, hold_rows, removed_rows, rule_rows
from billing.retention.services.hold_tenant import lift_legal_hold, set_legal_hold
from billing.retention.services.raise_rule import raise_retention
from console.access import StaffRequest, staff_page
from console.frame import page
from kernel import clock
from kernel.errors import DomainError
from tenants.permissions import StaffAction, staff_may
from tenants.queries import tenant_profile
from ui import words
from ui.cells import Code, Instant
from ui.errors import message_of
from ui.tables import Column, ListState, Table

_REMOVED: Final[tuple[Column[RemovedRow], ...]] = (
    Column(key="name", label=_("File"), value=lambda row: row.name),
    Column(key="tenant", label=_("Tenant"), value=lambda row: row.tenant_key),
    Column(key="issued", label=_("Issued on"), value=lambda row: row.issued_on, minor=True),
    Column(key="until", label=_("Kept until"), value=lambda row: row.retained_until),
    Column(
        key="removed",
        label=_("Removed (UTC)"),
        value=lambda row: Instant(at=row.removed_at, zone="UTC"),
    ),
    Column(key="digest", label="SHA-256", value=lambda row: Code(text=row.sha256), minor=True),
)


class RuleForm(forms.Form):
    """A longer time for a country."""

    country = forms.RegexField(
        label=_("Country"),
        regex=r"^[A-Z]{2}$",
        required=False,
        help_text=_("Two letters, such as DE; empty: every other country."),
    )
    kind = forms.ChoiceField(label=_("Records"))
    years = forms.IntegerField(
        label=_("Years after the year of issue"),
        min_value=0,
        max_value=MOST_YEARS,
        required=False,
        help_text=_("Never fewer than now; empty: for ever."),
    )
    basis = forms.CharField(label=_("Law or reason"), max_length=300, widget=forms.TextInput())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["kind"].choices = [  # type: ignore[attr-defined]  # of ChoiceField
            (kind.value, words.word("record", kind)) for kind in RecordKind
        ]


class HoldForm(forms.Form):
    """Nothing of a tenant is removed."""

    tenant = forms.CharField(label=_("Tenant's key"), max_length=100)
    reason = forms.CharField(label=_("Reason"), max_length=300)


@staff_page(action=StaffAction.RETENTION_VIEW, purpose="retention")
def retention(request: StaffRequest) -> HttpResponse:
    """A POST makes a rule longer, or sets a hold."""
    rule, hold = RuleForm(), HoldForm()
    if request.method != "POST":
        return _page(request, rule=rule, hold=hold)
    if not staff_may(role=request.user.staff_role, action=StaffAction.RETENTION_CHANGE):
        return _page(request, rule=rule, hold=hold, status=403)
    actor = f"user:{request.user.pk}"
    if "tenant" in request.POST:
        hold = HoldForm(request.POST)
        if hold.is_valid():
            try:
                set_legal_hold(
                    tenant_id=tenant_profile(key=hold.cleaned_data["tenant"]).id,
                    reason=hold.cleaned_data["reason"],
                    now=clock.now(),
                    actor=actor,
                )
            except DomainError as error:
                hold.add_error("tenant", message_of(error))
            else:
                messages.success(request, gettext("Nothing of the tenant is removed from now on."))
                return redirect("console:retention")
        return _page(request, rule=rule, hold=hold, status=422)
    rule = RuleForm(request.POST)
    if rule.is_valid():
        try:
            raise_retention(
                country=rule.cleaned_data["country"],
                kind=RecordKind(rule.cleaned_data["kind"]),
                years=rule.cleaned_data["years"],
                basis=rule.cleaned_data["basis"],
                now=clock.now(),
                actor=actor,
            )
        except DomainError as error:
            rule.add_error("years", message_of(error))
        else:
            messages.success(request, gettext("Kept longer from now on."))
            return redirect("console:retention")
    return _page(request, rule=rule, hold=hold, status=422)


@require_POST
@staff_page(action=StaffAction.RETENTION_CHANGE, purpose="lift a legal hold")
def lift(request: StaffRequest, hold_id: UUID) -> HttpResponse:
    """The rules count again."""
    try:
        lift_legal_hold(
            hold_id=hold_id,
            reason=request.POST.get("reason", ""),
            now=clock.now(),
            actor=f"user:{request.user.pk}",
        )
    except DomainError as error:
        if error.code == "hold_not_found":
            raise
        messages.error(request, message_of(error))
    else:
        messages.success(request, gettext("The legal hold is lifted."))
    return redirect("console:retention")


def _page(
    request: StaffRequest, *, rule: RuleForm, hold: HoldForm, status: int = 200
) -> HttpResponse:
    state = ListState.read(request.GET)
    removed, total = removed_rows(limit=state.limit, offset=state.offset)
    return page(
        request,
        "console/retention.html",
        place="retention",
        status=status,
        rules=rule_rows(),
        holds=hold_rows(),
        rule_form=rule,
        hold_form=hold,
        table=Table(
            columns=_REMOVED,
            rows=removed,
            total=total,
            state=state,
            caption=_("Files that are gone"),
            empty_title=_("No file was removed yet"),
            empty_text=_("A file goes the day after the last one on which it must be kept."),
        ),
    )
