"""Dry runs: each tenant's expected amount beside what it was billed before."""

from typing import Final
from uuid import UUID

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from billing.invoicing.dry_runs.domain import Reason
from billing.invoicing.dry_runs.queries import Mover, mover_count, movers
from billing.invoicing.run_listings import run_detail
from console.access import StaffRequest, staff_page
from console.frame import page
from tenants.permissions import StaffAction
from ui import words
from ui.cells import Cell, Link
from ui.exports import MAX_ROWS
from ui.tables import Column, ListState, Table, csv_of, wants_csv

_REASONS: Final = tuple(each.value for each in Reason)


def _percent(row: Mover) -> Cell:
    return "" if row.percent is None else f"{row.percent:+f} %"


COLUMNS: Final[tuple[Column[Mover], ...]] = (
    Column(
        key="tenant",
        label=_("Tenant"),
        value=lambda row: Link(
            text=row.tenant_key,
            url=reverse("console:tenant", args=[row.tenant_key]),
            note=row.tenant_name,
        ),
    ),
    Column(key="before", label=_("Before"), value=lambda row: row.before, numeric=True),
    Column(key="now", label=_("Now"), value=lambda row: row.now, numeric=True),
    Column(key="difference", label=_("Difference"), value=lambda row: row.difference, numeric=True),
    Column(key="percent", label=_("Percent"), value=_percent, numeric=True, minor=True),
    Column(
        key="reason",
        label=_("Reason"),
        value=lambda row: words.word("expected_reason", row.reason.value),
    ),
    Column(
        key="documents",
        label=_("Documents"),
        value=lambda row: row.documents,
        numeric=True,
        minor=True,
    ),
)


@staff_page(action=StaffAction.RUNS_VIEW, purpose="difference of a dry run")
def difference(request: StaffRequest, run_id: UUID) -> HttpResponse:
    """Who moves most first; filtered by reason, found by key or name."""
    run = run_detail(run_id=run_id)
    state = ListState.read(request.GET, filters={"reason": _REASONS})
    exported, reason = wants_csv(request), state.filters.get("reason", "")
    rows = movers(
        run_id=run_id,
        limit=MAX_ROWS if exported else state.limit,
        offset=0 if exported else state.offset,
        search=state.search,
        reason=reason,
    )
    if exported:
        return csv_of(columns=COLUMNS, rows=rows, name=f"dry-run-{run.at:%Y-%m-%d}")
    return page(
        request,
        "console/run_difference.html",
        place="runs",
        run=run,
        table=Table(
            columns=COLUMNS,
            rows=rows,
            total=mover_count(run_id=run_id, search=state.search, reason=reason),
            state=state,
            caption=_("Difference to the period before"),
            empty_title=_("Nothing to compare"),
            empty_text=_("The run expects nothing, and nothing was billed before."),
            exportable=True,
        ),
        reasons=[(each, words.word("expected_reason", each)) for each in _REASONS],
        reason=reason,
    )
