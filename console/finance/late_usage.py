"""Late usage: what it would change on invoices that are final, and what is to become of it."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing.invoicing.late_listing import (
    PendingLate,
    PendingPeriod,
    SettledPeriod,
    late_usage_policy,
    pending_late_usage,
    settled_late_usage,
)
from billing.subscriptions.domain import LateUsagePolicy
from billing.subscriptions.services.set_late_usage_policy import set_late_usage_policy
from console.access import StaffRequest, staff_page
from console.frame import page
from kernel import clock
from kernel.errors import DomainError
from tenants.permissions import StaffAction
from tenants.scope import staff_scope
from ui import words
from ui.cells import Cell, Days, Link
from ui.errors import message_of
from ui.tables import Column, Table

_ROWS: Final = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pending:
    """A closed period of a subscription that late usage touches, as a row."""

    late: PendingLate
    period: PendingPeriod


def _tenant(key: str, name: str) -> Cell:
    return Link(
        text=name, url=reverse("console:tenant", args=[key]), note=key if key != name else ""
    )


def _policy(row: _Pending) -> Cell:
    return Link(
        text=words.word("late_usage", row.late.policy),
        url=reverse("console:late_usage_policy", args=[row.late.subscription_id]),
    )


PENDING_COLUMNS: Final[tuple[Column[_Pending], ...]] = (
    Column(
        key="tenant",
        label=_("Tenant"),
        value=lambda row: _tenant(row.late.tenant_key, row.late.tenant_name),
    ),
    Column(
        key="period",
        label=_("Closed period"),
        value=lambda row: Days(period=row.period.period, zone=row.late.timezone),
    ),
    Column(
        key="invoice",
        label=_("Billed on"),
        value=lambda row: row.period.invoice or None,
        minor=True,
    ),
    Column(key="billed", label=_("Billed"), value=lambda row: row.period.billed, numeric=True),
    Column(key="rated", label=_("Due now"), value=lambda row: row.period.rated, numeric=True),
    Column(key="amount", label=_("Difference"), value=lambda row: row.period.amount, numeric=True),
    Column(key="policy", label=_("What becomes of it"), value=_policy),
)

SETTLED_COLUMNS: Final[tuple[Column[SettledPeriod], ...]] = (
    Column(
        key="tenant",
        label=_("Tenant"),
        value=lambda row: _tenant(row.tenant_key, row.tenant_name),
    ),
    Column(
        key="period",
        label=_("Closed period"),
        value=lambda row: Days(period=row.period, zone=row.timezone),
    ),
    Column(key="amount", label=_("Difference"), value=lambda row: row.amount, numeric=True),
    Column(
        key="outcome",
        label=_("Settled by"),
        value=lambda row: row.document or words.word("late_outcome", row.outcome),
    ),
    Column(key="reason", label=_("Reason"), value=lambda row: row.reason or None, minor=True),
)


class PolicyForm(forms.Form):
    """What becomes of a subscription's late usage."""

    policy = forms.ChoiceField(
        label=_("What becomes of it"),
        choices=[(policy.value, words.word("late_usage", policy)) for policy in LateUsagePolicy],
    )
    reason = forms.CharField(
        label=_("Reason"),
        help_text=_("Needed for usage that is not billed; it is kept in the audit trail."),
        max_length=500,
        required=False,
    )


@staff_page(action=StaffAction.INVOICES_VIEW, purpose="late usage")
def late_usage(request: StaffRequest) -> HttpResponse:
    """What waits to be settled, with its effect in money, and what was settled lately."""
    found = pending_late_usage(after=_place(request.GET.get("after", "")), limit=_ROWS)
    return page(
        request,
        "console/late_usage.html",
        place="late_usage",
        pending=Table(
            columns=PENDING_COLUMNS,
            rows=[
                _Pending(late=late, period=period) for late in found.rows for period in late.periods
            ],
            caption=_("Late usage that is not settled yet"),
            empty_title=_("No late usage here"),
            empty_text=_("Nothing arrived for a period whose invoice is final."),
        ),
        unrated=[late for late in found.rows if late.error_code],
        next=found.next,
        settled=Table(
            columns=SETTLED_COLUMNS,
            rows=settled_late_usage(limit=_ROWS),
            caption=_("Settled lately"),
            empty_title=_("Nothing settled yet"),
            empty_text=_("Adjustments, notes and waivers are listed here."),
        ),
    )


@staff_page(action=StaffAction.LATE_USAGE_SET, purpose="late usage policy", own_scope=True)
def policy(request: StaffRequest, subscription_id: UUID) -> HttpResponse:
    """A form for what becomes of one subscription's late usage from now on."""
    with staff_scope(user=request.user, purpose="late usage policy: form"):
        held = late_usage_policy(subscription_id=subscription_id)
    form = PolicyForm(
        request.POST or None, initial={"policy": held.policy.value, "reason": held.reason}
    )
    if request.method == "POST" and form.is_valid():
        try:
            with staff_scope(user=request.user, purpose="late usage policy: set"):
                set_late_usage_policy(
                    subscription_id=subscription_id,
                    policy=LateUsagePolicy(form.cleaned_data["policy"]),
                    reason=form.cleaned_data["reason"],
                    now=clock.now(),
                    actor=f"user:{request.user.pk}",
                )
        except DomainError as error:
            form.add_error(error.field if error.field in form.fields else None, message_of(error))
        else:
            messages.success(request, gettext("It holds from the next billing run on."))
            return redirect("console:late_usage")
    return page(
        request,
        "console/late_usage_policy.html",
        place="late_usage",
        status=422 if form.errors else 200,
        held=held,
        form=form,
    )


def _place(text: str) -> UUID | None:
    """Where a page goes on; what isn't one begins at the front."""
    try:
        return UUID(text)
    except ValueError:
        return None
