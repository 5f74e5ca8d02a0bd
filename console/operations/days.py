"""Days: how far every tenant's are closed and what holds them, and the days of one tenant."""

from datetime import timedelta
from typing import Final

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from console.access import StaffRequest, staff_page
from console.frame import page
from kernel import clock
from kernel.period import local_day
from kernel.zones import zone_named
from metering.days.listing import DaysFilter, ListedDay, TenantDays, listed_days, tenant_days
from metering.queries import PeriodLength, ShownPeriod, offered_periods
from metering.reports.queries import gateways_holding
from tenants.permissions import StaffAction
from tenants.queries import tenant_profile
from ui import formats, words
from ui.cells import Cell, Instant, Link
from ui.tables import Column, ListState, Table
from ui.usage_choice import period_label

TENANT_COLUMNS: Final[tuple[Column[TenantDays], ...]] = (
    Column(
        key="tenant",
        label=_("Tenant"),
        value=lambda row: Link(
            text=row.name,
            url=reverse("console:tenant_days", args=[row.key]),
            note=row.key if row.key != row.name else "",
        ),
    ),
    Column(key="until", label=_("First open day"), value=lambda row: row.closed_until),
    Column(
        key="held",
        label=_("Held by missing reports of"),
        value=lambda row: ", ".join(row.held_by) or None,
    ),
    Column(
        key="moved",
        label=_("Last close (UTC)"),
        value=lambda row: Instant(at=row.moved_at, zone="UTC") if row.moved_at else None,
        minor=True,
    ),
    Column(key="timezone", label=_("Time zone"), value=lambda row: row.timezone, minor=True),
)


@staff_page(action=StaffAction.USAGE_VIEW, purpose="days of all tenants")
def days(request: StaffRequest) -> HttpResponse:
    """Those furthest behind first."""
    state = ListState.read(request.GET, filters={"state": list(DaysFilter)})
    chosen = state.filters.get("state", "")
    found = tenant_days(
        now=clock.now(),
        search=state.search,
        only=DaysFilter(chosen) if chosen else None,
        limit=state.limit,
        offset=state.offset,
    )
    options = [
        (DaysFilter.BEHIND.value, _("Behind"), chosen == DaysFilter.BEHIND),
        (DaysFilter.HELD.value, _("Held by missing reports"), chosen == DaysFilter.HELD),
    ]
    return page(
        request,
        "console/days.html",
        place="days",
        state=state,
        filters=[("state", _("All tenants"), options)],
        table=Table(
            columns=TENANT_COLUMNS,
            rows=found.rows,
            total=found.total,
            state=state,
            caption=_("Days"),
            empty_title=_("No tenant has usage yet"),
            empty_text=_("A tenant's days begin with its first event."),
        ),
    )


@staff_page(action=StaffAction.USAGE_VIEW, purpose="days of a tenant")
def of_tenant(request: StaffRequest, tenant_key: str) -> HttpResponse:
    """A month of them; without a choice the running one."""
    profile = tenant_profile(key=tenant_key)
    language = get_language() or "en"
    today = local_day(clock.now(), zone_named(profile.timezone))
    offered = offered_periods(today)[PeriodLength.MONTH]
    asked = ShownPeriod.read(request.GET.get("month", ""))
    month = ShownPeriod.around(asked.first if asked else today, length=PeriodLength.MONTH)
    if month not in offered:
        offered.append(month)
    held_by = gateways_holding(tenant_id=profile.id)
    rows = listed_days(
        tenant_id=profile.id,
        from_day=month.first,
        to_day=max(month.first, min(month.end, today + timedelta(days=1))),
        is_held=bool(held_by),
        today=today,
    )

    def usage_of(row: ListedDay) -> Cell:
        address = reverse("console:tenant_usage", args=[profile.key])
        return Link(
            text=formats.date_text(row.day, language=language),
            url=f"{address}?period={row.day.isoformat()}",
            whole=True,
        )

    columns: tuple[Column[ListedDay], ...] = (
        Column(key="day", label=_("Day"), value=usage_of),
        Column(key="state", label=_("State"), value=lambda row: words.status("day", row.state)),
        Column(
            key="closed",
            label=_("Closed at"),
            value=lambda row: (
                Instant(at=row.closed_at, zone=profile.timezone) if row.closed_at else None
            ),
        ),
        Column(key="rows", label=_("Values"), value=lambda row: row.rows, numeric=True),
        Column(
            key="corrections",
            label=_("Corrections"),
            value=lambda row: row.corrections,
            numeric=True,
        ),
    )
    return page(
        request,
        "console/tenant_days.html",
        place="days",
        profile=profile,
        held_by=held_by,
        month_name=period_label(month, language=language),
        months=[
            (each.code, period_label(each, language=language), each == month) for each in offered
        ],
        table=Table(
            columns=columns,
            rows=rows,
            caption=_("Days"),
            empty_title=_("This month has not begun"),
        ),
    )
