"""Periods that have no invoice though they ended long ago."""

from typing import Final

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from billing.invoicing.uninvoiced import Uninvoiced, uninvoiced_count, uninvoiced_periods
from console.access import StaffRequest, staff_page
from console.frame import page
from kernel import clock
from tenants.permissions import StaffAction
from ui import words
from ui.cells import Cell, Instant, Link
from ui.tables import Column, ListState, Table


def _held(row: Uninvoiced) -> Cell:
    word = words.word("held_period", row.held.value)
    return f"{word}: {row.code}" if row.code else word


COLUMNS: Final[tuple[Column[Uninvoiced], ...]] = (
    Column(
        key="tenant",
        label=_("Tenant"),
        value=lambda row: Link(
            text=row.tenant_key,
            url=reverse("console:tenant", args=[row.tenant_key]),
            note=row.tenant_name,
        ),
    ),
    Column(key="plan", label=_("Plan"), value=lambda row: row.plan_key, minor=True),
    Column(
        key="ended",
        label=_("Period ended"),
        value=lambda row: Instant(at=row.ended_at, zone=row.timezone),
    ),
    Column(key="late", label=_("Days since"), value=lambda row: row.days_late, numeric=True),
    Column(key="held", label=_("What holds it"), value=_held),
    Column(
        key="deadline",
        label=_("To be invoiced by law until"),
        value=lambda row: "" if row.legal_deadline is None else row.legal_deadline.isoformat(),
    ),
)


@staff_page(action=StaffAction.RUNS_VIEW, purpose="periods not invoiced in time")
def uninvoiced(request: StaffRequest) -> HttpResponse:
    """Oldest first."""
    state, now = ListState.read(request.GET), clock.now()
    return page(
        request,
        "console/uninvoiced.html",
        place="runs",
        table=Table(
            columns=COLUMNS,
            rows=uninvoiced_periods(now=now, limit=state.limit, offset=state.offset),
            total=uninvoiced_count(now=now),
            state=state,
            caption=_("Periods not invoiced in time"),
            empty_title=_("Every period that ended is invoiced"),
            empty_text=_("A period that has no invoice 10 days after its end stands here."),
        ),
    )
