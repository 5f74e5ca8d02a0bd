"""Tenants: the list with its search, and the page of one."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from billing.invoicing.charges.domain import BY_HAND
from billing.invoicing.listings import invoice_rows
from billing.invoicing.receivables import receivables
from billing.subscriptions.domain import SubscriptionStatus
from billing.subscriptions.queries import plans_of_tenants, subscriptions_of
from console.access import StaffRequest, staff_page
from console.finance.invoices import INVOICE_COLUMNS
from console.frame import page
from kernel import clock
from kernel.zones import zone_named
from metering import queries as metering
from tenants.domain import TenantStatus
from tenants.permissions import StaffAction
from tenants.queries import (
    TenantProfile,
    TenantRow,
    apps_of,
    keys_of,
    members_of,
    tenant_profile,
    tenant_rows,
    trail_of,
)
from ui import words
from ui.cells import Cell, Link
from ui.charts import Figure, daily_figure
from ui.exports import MAX_ROWS
from ui.plan_terms import plan_name
from ui.tables import Column, ListState, Table, csv_of, wants_csv

SPANS: Final = {"30": 30, "90": 90, "180": 180}
_LONG_AGO: Final = 730
"""Days back in which usage is looked for when there is none in the chosen span."""


def tenant_columns(plans: Mapping[UUID, Sequence[str]]) -> tuple[Column[TenantRow], ...]:
    """The tenants' columns; `plans` are the keys of the plans that each holds, by tenant id."""

    def plan_cell(row: TenantRow) -> Cell:
        keys = plans.get(row.id, ())
        if not keys:
            return None
        return Link(
            text=keys[0],
            url=reverse("console:plan", args=[keys[0]]),
            note=", ".join(keys[1:]),
        )

    return (
        Column(
            key="name",
            label=_("Tenant"),
            value=lambda row: Link(
                text=row.name,
                url=reverse("console:tenant", args=[row.key]),
                note=row.key if row.key != row.name else "",
            ),
            sortable=True,
        ),
        Column(
            key="status",
            label=_("State"),
            value=lambda row: words.status("tenant", row.status),
            sortable=True,
        ),
        Column(key="plan", label=_("Plan"), value=plan_cell),
        Column(key="apps", label=_("Apps"), value=lambda row: row.apps, numeric=True, minor=True),
        Column(key="timezone", label=_("Time zone"), value=lambda row: row.timezone, minor=True),
        Column(
            key="created",
            label=_("Since"),
            value=lambda row: row.created_at.astimezone(zone_named(row.timezone)).date(),
            sortable=True,
            minor=True,
        ),
    )


@staff_page(action=StaffAction.TENANTS_VIEW, purpose="tenants list")
def tenant_list(request: StaffRequest) -> HttpResponse:
    """Search by name, tenant key or app key."""
    state = ListState.read(
        request.GET,
        columns=tenant_columns({}),
        default_sort="name",
        filters={"status": list(TenantStatus)},
    )
    export = wants_csv(request)
    found = tenant_rows(
        search=state.search,
        status=state.filters.get("status", ""),
        sort=state.sort,
        descending=state.descending,
        limit=MAX_ROWS if export else state.limit,
        offset=0 if export else state.offset,
    )
    columns = tenant_columns(plans_of_tenants(tenant_ids=[row.id for row in found.rows]))
    if export:
        return csv_of(columns=columns, rows=found.rows, name="tenants")
    table = Table(
        columns=columns,
        rows=found.rows,
        total=found.total,
        state=state,
        caption=_("Tenants"),
        empty_title=_("No tenants yet"),
        empty_text=_(
            "They come with the first import of usage, or from the operator's own system."
        ),
        exportable=found.total <= MAX_ROWS,
    )
    statuses = [
        (status.value, words.status("tenant", status).label, state.filters.get("status") == status)
        for status in TenantStatus
    ]
    return page(
        request,
        "console/tenants.html",
        place="tenants",
        table=table,
        state=state,
        filters=[("status", _("All states"), statuses)],
    )


@staff_page(action=StaffAction.TENANTS_VIEW, purpose="tenant page")
def tenant(request: StaffRequest, tenant_key: str) -> HttpResponse:
    """Everything about one tenant that the staff need while they talk to it."""
    now = clock.now()
    profile = tenant_profile(key=tenant_key)
    invoices = invoice_rows(now=now, tenant_id=profile.id, limit=10)
    meter = request.GET.get("meter", "dau")
    known = metering.known_meters()
    meter = meter if meter in known else "dau"
    span = request.GET.get("days", "90")
    span = span if span in SPANS else "90"
    subscriptions = subscriptions_of(tenant_id=profile.id)
    language = get_language() or "en"
    return page(
        request,
        "console/tenant.html",
        place="tenants",
        charge_kinds=[kind.value for kind in BY_HAND],
        profile=profile,
        figure=_usage_figure(profile, meter=meter, days=SPANS[span], now=now, language=language),
        meters=[(key, words.word("meter", key), key == meter) for key in known],
        spans=[(key, key == span) for key in SPANS],
        subscriptions=[
            (each, plan_name(each.document, language=language), each.period_at(now))
            for each in subscriptions
        ],
        holds_plan=any(each.status is SubscriptionStatus.ACTIVE for each in subscriptions),
        invoices=Table(
            columns=tuple(
                column for column in INVOICE_COLUMNS if column.key not in {"tenant", "due"}
            ),
            rows=invoices.rows,
            caption=_("Newest invoices"),
            empty_title=_("No invoices yet"),
            empty_text=_("The first one is drafted when a billing period ends."),
        ),
        invoice_total=invoices.total,
        receivables=receivables(now=now, tenant_id=profile.id),
        apps=apps_of(tenant_id=profile.id),
        members=members_of(tenant_id=profile.id),
        keys=[(key, key.state(now=now)) for key in keys_of(tenant_id=profile.id)],
        trail=trail_of(tenant_id=profile.id, limit=12),
        zone=profile.timezone,
    )


def _usage_figure(
    profile: TenantProfile, *, meter: str, days: int, now: datetime, language: str
) -> Figure | None:
    """Daily values per app up to the newest day with usage; None where there is none for long."""
    today = now.astimezone(zone_named(profile.timezone)).date()
    for back in (days, _LONG_AGO):
        rows = metering.usage(
            tenant_ids=[profile.id],
            meters=[meter],
            from_day=today - timedelta(days=back - 1),
            to_day=today + timedelta(days=1),
        )
        if rows:
            break
    if not rows:
        return None
    newest = max(row.day for row in rows)
    last = today if newest > today - timedelta(days=days) else newest
    first = last - timedelta(days=days - 1)
    names = {app.id: app.key for app in apps_of(tenant_id=profile.id)}
    values: dict[str, dict[date, Decimal]] = {}
    for row in rows:
        if row.day >= first:
            by_day = values.setdefault(names.get(row.app_id, "—"), {})
            by_day[row.day] = by_day.get(row.day, Decimal(0)) + row.value
    return daily_figure(
        key="usage",
        title=words.word("meter", meter),
        days=[first + timedelta(days=offset) for offset in range(days)],
        values=values,
        language=language,
    )
