"""The store of raw events: its partitions, how large they are, what was dropped and what goes next."""

from typing import Final

from django.http import HttpResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from console.access import StaffRequest, staff_page
from console.frame import page
from metering.retention.domain import KEPT
from metering.retention.queries import (
    PartitionRow,
    partition_count,
    partition_rows,
    retention_state,
)
from tenants.permissions import StaffAction
from ui.cells import Cell
from ui.tables import Column, ListState, Table

_KIB: Final = 1024
_UNITS: Final = ("KiB", "MiB", "GiB", "TiB")


def _size(size: int) -> str:
    """Bytes in tenths of the largest unit of which there is at least one."""
    units = [unit for place, unit in enumerate(_UNITS, start=1) if size >= _KIB**place]
    if not units:
        return f"{size} B"
    tenths = size * 10 // _KIB ** len(units)
    return f"{tenths // 10}.{tenths % 10} {units[-1]}"


def _state(row: PartitionRow) -> Cell:
    if row.dropped_at is not None:
        return gettext("Dropped on %(day)s") % {"day": row.dropped_at.date().isoformat()}
    if row.ends_at is None:
        return gettext("Takes what comes after the last month")
    return gettext("Kept")


COLUMNS: Final[tuple[Column[PartitionRow], ...]] = (
    Column(key="name", label=_("Partition"), value=lambda row: row.name),
    Column(
        key="from",
        label=_("Arrived from (UTC)"),
        value=lambda row: row.starts_at.date() if row.starts_at else None,
    ),
    Column(
        key="to",
        label=_("Arrived before (UTC)"),
        value=lambda row: row.ends_at.date() if row.ends_at else None,
    ),
    Column(key="rows", label=_("Rows, about"), value=lambda row: row.rows, numeric=True),
    Column(key="size", label=_("Size"), value=lambda row: _size(row.bytes)),
    Column(key="goes", label=_("May go on"), value=lambda row: row.goes_on),
    Column(key="state", label=_("State"), value=_state),
)


@staff_page(action=StaffAction.RUNS_VIEW, purpose="partitions of raw events")
def partition_list(request: StaffRequest) -> HttpResponse:
    """What is kept, how much it takes, and when the next part goes."""
    state = ListState.read(request.GET)
    kept = retention_state()
    return page(
        request,
        "console/partitions.html",
        place="partitions",
        kept_days=KEPT.days,
        kept=kept,
        size=_size(kept.bytes),
        table=Table(
            columns=COLUMNS,
            rows=partition_rows(limit=state.limit, offset=state.offset),
            total=partition_count(),
            state=state,
            caption=_("Partitions of raw events"),
            empty_title=_("No partitions"),
            empty_text=_("The daily upkeep makes them; see that worker and scheduler run."),
        ),
    )
