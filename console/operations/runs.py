"""Billing runs: the list, one with its live progress, and starting one."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from billing.invoicing.dry_runs.queries import differences
from billing.invoicing.run_listings import RunRow, due_preview, run_detail, run_rows
from billing.invoicing.services.decide_run import (
    cancel_run,
    pause_run,
    resume_run,
    retry_parked,
    retry_run,
)
from billing.invoicing.services.start_run import start_run
from console.access import StaffRequest, staff_page
from console.frame import page
from kernel import clock
from kernel.errors import Conflict, DomainError
from tenants.permissions import StaffAction, staff_may
from ui import formats, words
from ui.cells import Cell, Instant, Link
from ui.errors import message_of
from ui.tables import Column, ListState, Table

_ZONE: Final = "UTC"


def _started(row: RunRow) -> Cell:
    return Link(
        text=formats.instant_text(row.created_at, zone=_ZONE, language=get_language() or "en"),
        url=reverse("console:run", args=[row.id]),
        note=f"{_('Dry run')} · {row.requested_by}" if row.dry else row.requested_by,
    )


RUN_COLUMNS: Final[tuple[Column[RunRow], ...]] = (
    Column(key="created", label=_("Asked for (UTC)"), value=_started),
    Column(key="state", label=_("State"), value=lambda row: words.status("run", row.state)),
    Column(
        key="at",
        label=_("As of (UTC)"),
        value=lambda row: Instant(at=row.at, zone=_ZONE),
        minor=True,
    ),
    Column(key="due", label=_("Due"), value=lambda row: row.due, numeric=True),
    Column(key="drafted", label=_("Drafted"), value=lambda row: row.drafted, numeric=True),
    Column(key="finalized", label=_("Finalised"), value=lambda row: row.finalized, numeric=True),
    Column(
        key="parked",
        label=_("Left aside"),
        value=lambda row: len(row.parked),
        numeric=True,
        minor=True,
    ),
)


_DECISIONS: Final[dict[str, tuple[Callable[..., None], Promise]]] = {
    "pause": (
        pause_run,
        _("Paused. What is being billed this moment is still finished; nothing is lost."),
    ),
    "resume": (resume_run, _("Resumed. It goes on from where it was.")),
    "cancel": (
        cancel_run,
        _("Cancelled. What was drafted and finalised stays; the next run finds the rest."),
    ),
    "retry": (retry_run, _("What failed is tried again.")),
}


class RunForm(forms.Form):
    """What a person asks a run to do."""

    at = forms.DateTimeField(
        label=_("As of (UTC)"),
        help_text=_("Everything whose period has ended by then is due."),
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"],
    )
    tenant = forms.CharField(
        label=_("Only this tenant"),
        help_text=_("A tenant key. Leave it empty to bill all tenants."),
        required=False,
        max_length=100,
    )
    dry = forms.BooleanField(
        label=_("Dry run: bill nothing, and show the difference to the period before"),
        required=False,
    )
    finalize = forms.BooleanField(
        label=_("Finalise the drafts whose grace is over: they get numbers and can't change again"),
        required=False,
    )


@staff_page(action=StaffAction.RUNS_VIEW, purpose="billing runs list")
def run_list(request: StaffRequest) -> HttpResponse:
    """Newest first."""
    state = ListState.read(request.GET)
    found = run_rows(limit=state.limit, offset=state.offset)
    table = Table(
        columns=RUN_COLUMNS,
        rows=found.rows,
        total=found.total,
        state=state,
        caption=_("Billing runs"),
        empty_title=_("No billing run yet"),
        empty_text=_("The schedule starts one every hour; you can also start one yourself."),
    )
    return page(request, "console/runs.html", place="runs", table=table)


@staff_page(action=StaffAction.RUNS_START, purpose="start a billing run")
def new_run(request: StaffRequest) -> HttpResponse:
    """A form with a preview of what is due; a second look before anything starts."""
    now = clock.now()
    if request.method == "POST":
        form = RunForm(request.POST)
        if form.is_valid():
            try:
                run_id = start_run(
                    at=form.cleaned_data["at"],
                    finalize=form.cleaned_data["finalize"],
                    dry=form.cleaned_data["dry"],
                    tenant_key=form.cleaned_data["tenant"].strip(),
                    requested_by=request.user.email,
                    now=now,
                )
            except DomainError as error:
                form.add_error("tenant" if error.field == "tenant" else None, message_of(error))
            else:
                return redirect("console:run", run_id=run_id)
    else:
        given = _given_instant(request.GET.get("at", ""))
        form = RunForm(initial={"at": given or now.replace(second=0, microsecond=0)})
    at = form.cleaned_data.get("at") if form.is_bound and form.is_valid() else None
    at = at or _given_instant(request.GET.get("at", "")) or now
    return page(
        request,
        "console/new_run.html",
        place="runs",
        status=422 if form.errors else 200,
        form=form,
        at=at,
        preview=due_preview(at=at),
    )


@staff_page(action=StaffAction.RUNS_VIEW, purpose="billing run")
def run(request: StaffRequest, run_id: UUID) -> HttpResponse:
    """One run; the part with its progress fetches itself until the run is over."""
    return page(
        request,
        "console/run.html",
        place="runs",
        **_shown(request, run_id),
    )


@staff_page(action=StaffAction.RUNS_VIEW, purpose="billing run progress")
def progress(request: StaffRequest, run_id: UUID) -> HttpResponse:
    """Only the part with the progress."""
    return render(request, "console/_run_progress.html", _shown(request, run_id))


def _shown(request: StaffRequest, run_id: UUID) -> dict[str, Any]:
    found = run_detail(run_id=run_id)
    return {
        "run": found,
        "may_decide": staff_may(role=request.user.staff_role, action=StaffAction.RUNS_START),
        "differences": differences(run_id=run_id) if found.dry else (),
    }


@staff_page(action=StaffAction.RUNS_START, purpose="decide about a billing run")
@require_POST
def decide(request: StaffRequest, run_id: UUID) -> HttpResponse:
    """Pause, resume, cancel or retry a run, or try again whom it left aside."""
    asked, actor, now = request.POST.get("do", ""), request.user.email, clock.now()
    try:
        if asked == "retry_parked":
            again = retry_parked(run_id=run_id, actor=actor, now=now)
            return redirect("console:run", run_id=again)
        if asked in _DECISIONS:
            decision, said = _DECISIONS[asked]
            decision(run_id=run_id, actor=actor, now=now)
            messages.success(request, str(said))
    except Conflict as error:
        messages.error(request, message_of(error))
    return redirect("console:run", run_id=run_id)


def _given_instant(text: str) -> datetime | None:
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        return None
    return given if given.tzinfo else given.replace(tzinfo=UTC)
