"""Rejected events and reports of unknown apps: by tenant and code with a sample, one tenant's, and taking
them in after all."""

from datetime import timedelta
from typing import Final

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from console.access import StaffRequest, staff_page
from console.frame import page
from kernel import clock
from kernel.errors import DomainError
from metering.quarantine.queries import (
    REPLAYABLE,
    RejectedGroup,
    RejectedRow,
    rejected_codes,
    rejected_groups,
    rejected_page,
)
from metering.quarantine.services.request_replay import request_replay
from metering.reports.queries import UnknownApp, unknown_apps
from tenants.permissions import StaffAction, staff_may
from tenants.queries import tenant_profile
from ui.cells import Cell, Instant, Link
from ui.errors import message_of
from ui.rejected import why_cell, why_text
from ui.tables import Column, ListState, Table

_ZONE: Final = "UTC"
_DAYS: Final = 30


def _tenant(row: RejectedGroup) -> Cell:
    if row.tenant_id is None:
        return gettext("Nobody's app")
    return Link(text=row.tenant_key, url=reverse("console:rejected_events", args=[row.tenant_key]))


GROUP_COLUMNS: Final[tuple[Column[RejectedGroup], ...]] = (
    Column(key="tenant", label=_("Tenant"), value=_tenant),
    Column(key="code", label=_("Code"), value=lambda row: row.code),
    Column(key="count", label=_("Rejected"), value=lambda row: row.count, numeric=True),
    Column(key="waiting", label=_("Can be replayed"), value=lambda row: row.waiting, numeric=True),
    Column(
        key="replayed",
        label=_("Replayed"),
        value=lambda row: row.replayed,
        numeric=True,
        minor=True,
    ),
    Column(
        key="last", label=_("Last (UTC)"), value=lambda row: Instant(at=row.last_at, zone=_ZONE)
    ),
    Column(
        key="sample",
        label=_("For example"),
        value=lambda row: why_text(code=row.code, detail=row.sample_detail),
        minor=True,
    ),
)
EVENT_COLUMNS: Final[tuple[Column[RejectedRow], ...]] = (
    Column(
        key="at",
        label=_("Received (UTC)"),
        value=lambda row: Instant(at=row.received_at, zone=_ZONE),
    ),
    Column(key="code", label=_("Code"), value=lambda row: row.code),
    Column(key="detail", label=_("Why"), value=why_cell),
    Column(key="app", label=_("App"), value=lambda row: row.subject or None, minor=True),
    Column(key="source", label=_("Source"), value=lambda row: row.source or None, minor=True),
    Column(key="id", label=_("Event id"), value=lambda row: row.event_id or None),
    Column(
        key="replayed",
        label=_("Replayed (UTC)"),
        value=lambda row: Instant(at=row.replayed_at, zone=_ZONE) if row.replayed_at else None,
        minor=True,
    ),
)


APP_COLUMNS: Final[tuple[Column[UnknownApp], ...]] = (
    Column(key="app", label=_("App"), value=lambda row: row.app),
    Column(key="waiting", label=_("Reports"), value=lambda row: row.waiting, numeric=True),
    Column(key="gateway", label=_("Gateway"), value=lambda row: row.gateway, minor=True),
    Column(
        key="last", label=_("Last (UTC)"), value=lambda row: Instant(at=row.last_at, zone=_ZONE)
    ),
    Column(
        key="tenant",
        label=_("Now of"),
        value=lambda row: (
            Link(text=row.tenant_key, url=reverse("console:rejected_events", args=[row.tenant_key]))
            if row.tenant_key
            else None
        ),
    ),
)
_APPS: Final = 50


class ReplayForm(forms.Form):
    """What is tried again, and why it will go well now."""

    code = forms.ChoiceField(
        label=_("Rejected as"), choices=[(code, code) for code in sorted(REPLAYABLE)]
    )
    reason = forms.CharField(
        label=_("What was mended"),
        help_text=_("It is kept in the tenant's audit trail."),
        max_length=500,
    )
    any_age = forms.BooleanField(
        label=_("Also events that were too old when they came"), required=False
    )


@staff_page(action=StaffAction.USAGE_VIEW, purpose="rejected events")
def groups(request: StaffRequest) -> HttpResponse:
    """What was refused in the last 30 days, the latest first."""
    state = ListState.read(request.GET)
    found = rejected_groups(
        since=clock.now() - timedelta(days=_DAYS), limit=state.limit, offset=state.offset
    )
    table = Table(
        columns=GROUP_COLUMNS,
        rows=found.rows,
        total=found.total,
        state=state,
        caption=_("Rejected events"),
        empty_title=_("No event was rejected in the last 30 days"),
    )
    named = unknown_apps(limit=_APPS)
    return page(
        request,
        "console/quarantine.html",
        place="quarantine",
        table=table,
        apps=Table(
            columns=APP_COLUMNS,
            rows=named.rows,
            caption=_("Reports of unknown apps"),
            empty_title=_("No report named an unknown app"),
        ),
        apps_shown=len(named.rows),
        apps_in_all=named.total,
    )


@staff_page(action=StaffAction.USAGE_VIEW, purpose="rejected events of a tenant")
def tenants_events(request: StaffRequest, tenant_key: str) -> HttpResponse:
    """One tenant's, newest first. A POST has those of one code tried again in the background."""
    if request.method != "POST":
        return _events_page(request, tenant_key, form=ReplayForm())
    if not staff_may(role=request.user.staff_role, action=StaffAction.EVENTS_REPLAY):
        return _events_page(request, tenant_key, form=ReplayForm(), status=403)
    form = ReplayForm(request.POST)
    if form.is_valid():
        try:
            request_replay(
                tenant_id=tenant_profile(key=tenant_key).id,
                code=form.cleaned_data["code"],
                reason=form.cleaned_data["reason"],
                any_age=form.cleaned_data["any_age"],
                actor=f"user:{request.user.pk}",
            )
        except DomainError as error:
            form.add_error(error.field if error.field in form.fields else None, message_of(error))
        else:
            messages.success(
                request, gettext("The events are being tried again; those taken in show it below.")
            )
            return redirect("console:rejected_events", tenant_key=tenant_key)
    return _events_page(request, tenant_key, form=form, status=422)


def _events_page(
    request: StaffRequest, tenant_key: str, *, form: ReplayForm, status: int = 200
) -> HttpResponse:
    tenant = tenant_profile(key=tenant_key)
    codes = rejected_codes(tenant_id=tenant.id)
    state = ListState.read(request.GET, filters={"code": tuple(codes)})
    code = state.filters.get("code", "")
    waiting = unknown_apps(limit=_APPS, tenant_id=tenant.id)
    table = Table(
        columns=EVENT_COLUMNS,
        rows=rejected_page(tenant_id=tenant.id, limit=state.limit, offset=state.offset, code=code),
        total=codes[code] if code else sum(codes.values()),
        state=state,
        caption=_("Rejected events"),
        empty_title=_("No event was rejected"),
    )
    return page(
        request,
        "console/rejected_events.html",
        place="quarantine",
        status=status,
        tenant=tenant,
        table=table,
        codes=[(each, count, each == code) for each, count in codes.items()],
        has_replayable=bool(REPLAYABLE & codes.keys()) or bool(waiting.rows),
        waiting=waiting.rows,
        form=form,
    )
