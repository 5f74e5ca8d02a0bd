"""Ingest: how much comes in, how far folding lags, what was refused or late, and how far days are."""

from typing import Final

from django.http import HttpResponse
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from console.access import StaffRequest, staff_page
from console.frame import page
from kernel import clock
from metering.activity.queries import DayProgress, activity, day_progress
from tenants.permissions import StaffAction
from ui import formats
from ui.charts import Figure, Series, Shape
from ui.tables import Column, Table

_COLUMNS: Final[tuple[Column[DayProgress], ...]] = (
    Column(key="until", label=_("First open day"), value=lambda row: row.closed_until),
    Column(key="tenants", label=_("Tenants"), value=lambda row: row.tenants, numeric=True),
    Column(
        key="held", label=_("Held by missing reports"), value=lambda row: row.held, numeric=True
    ),
)


@staff_page(action=StaffAction.USAGE_VIEW, purpose="ingest")
def ingest(request: StaffRequest) -> HttpResponse:
    """The last hour by minute, the last day in sums, and the tenants by how far their days are."""
    found = activity(now=clock.now())
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
        days=Table(
            columns=_COLUMNS,
            rows=day_progress(),
            caption=_("Days"),
            empty_title=_("No tenant has usage yet"),
        ),
    )
