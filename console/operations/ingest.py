"""Ingest: how much comes in, how far folding lags, what was known already, refused or late, in all and
by tenant, and how far days are."""

from typing import Final

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from console.access import StaffRequest, staff_page
from console.frame import page
from kernel import clock
from metering.activity.queries import (
    DayProgress,
    TenantActivity,
    activity,
    day_progress,
    tenant_activities,
)
from tenants.permissions import StaffAction
from ui import formats
from ui.cells import Link
from ui.charts import Figure, Series, Shape
from ui.tables import Column, ListState, Table

_COLUMNS: Final[tuple[Column[DayProgress], ...]] = (
    Column(key="until", label=_("First open day"), value=lambda row: row.closed_until),
    Column(key="tenants", label=_("Tenants"), value=lambda row: row.tenants, numeric=True),
    Column(
        key="held", label=_("Held by missing reports"), value=lambda row: row.held, numeric=True
    ),
)
_TENANT_COLUMNS: Final[tuple[Column[TenantActivity], ...]] = (
    Column(
        key="tenant",
        label=_("Tenant"),
        value=lambda row: Link(
            text=row.tenant_key, url=reverse("console:tenant", args=[row.tenant_key])
        ),
    ),
    Column(key="accepted", label=_("Accepted"), value=lambda row: row.accepted, numeric=True),
    Column(key="duplicates", label=_("Duplicates"), value=lambda row: row.duplicates, numeric=True),
    Column(key="rejected", label=_("Rejected"), value=lambda row: row.rejected, numeric=True),
    Column(key="late", label=_("Late"), value=lambda row: row.late, numeric=True, minor=True),
)


@staff_page(action=StaffAction.USAGE_VIEW, purpose="ingest")
def ingest(request: StaffRequest) -> HttpResponse:
    """The last hour by minute, the last day in sums, and the tenants by how far their days are."""
    now = clock.now()
    found = activity(now=now)
    state = ListState.read(request.GET)
    tenants = tenant_activities(now=now, limit=state.limit, offset=state.offset)
    language = get_language() or "en"
    values = [events for _, events in found.by_minute]
    return page(
        request,
        "console/ingest.html",
        place="ingest",
        found=found,
        lag_seconds=int(found.lag.total_seconds()),
        figure=Figure(
            key="ingest",
            title=_("Events a minute"),
            points=[f"{at:%H:%M}" for at, _ in found.by_minute],
            points_label=_("Minute (UTC)"),
            series=[
                Series(
                    label=_("Events"),
                    values=values,
                    texts=[formats.quantity_text(each, language=language) for each in values],
                )
            ],
            shape=Shape.BAR,
        ),
        tenants=Table(
            columns=_TENANT_COLUMNS,
            rows=tenants.rows,
            total=tenants.total,
            state=state,
            caption=_("Tenants of the last 24 hours"),
            empty_title=_("Nothing came in within 24 hours"),
        ),
        days=Table(
            columns=_COLUMNS,
            rows=day_progress(),
            caption=_("Days"),
            empty_title=_("No tenant has usage yet"),
        ),
    )
