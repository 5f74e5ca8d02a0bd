"""Plans: the catalogue, and one plan with its versions."""

from datetime import date
from typing import Final

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from billing.catalog.queries import latest_versions, versions_of, wording_on
from billing.subscriptions.queries import Holder, holders_of, subscribers
from console.access import StaffRequest, staff_page
from console.frame import page
from kernel.errors import NotFound
from tenants.permissions import StaffAction
from ui.cells import Link
from ui.exports import MAX_ROWS
from ui.plan_terms import plan_name, plan_sheet
from ui.tables import Column, ListState, Table, csv_of, wants_csv

_MOST = 200

HOLDER_COLUMNS: Final[tuple[Column[Holder], ...]] = (
    Column(
        key="tenant",
        label=_("Tenant"),
        value=lambda row: Link(
            text=row.tenant_name,
            url=reverse("console:tenant", args=[row.tenant_key]),
            note=row.tenant_key if row.tenant_key != row.tenant_name else "",
        ),
    ),
    Column(key="since", label=_("Subscribed since"), value=lambda row: row.starts_on, minor=True),
    Column(
        key="overrides",
        label=_("Prices agreed otherwise"),
        value=lambda row: row.overrides or None,
        numeric=True,
    ),
)


@staff_page(action=StaffAction.PLANS_VIEW, purpose="plans list")
def plan_list(request: StaffRequest) -> HttpResponse:
    """Each plan with its newest wording and how many tenants hold it."""
    counts: dict[str, int] = {}
    for (key, _number), count in subscribers().items():
        counts[key] = counts.get(key, 0) + count
    language = get_language() or "en"
    return page(
        request,
        "console/plans.html",
        place="plans",
        plans=[
            (
                version,
                plan_name(version.document, language=language),
                counts.get(version.plan_key, 0),
            )
            for version in latest_versions(limit=_MOST)
        ],
    )


@staff_page(action=StaffAction.PLANS_VIEW, purpose="plan page")
def plan(request: StaffRequest, plan_key: str) -> HttpResponse:
    """The newest wording as a sheet; older ones below. Raises NotFound `plan_not_found`."""
    versions = versions_of(plan_key=plan_key)
    if not versions:
        raise NotFound("plan_not_found", "There is no such plan.", field="plan")
    held = subscribers()
    asked = _day(request.GET.get("on", ""))
    shown = [
        (version, plan_sheet(version.document), held.get((plan_key, version.number), 0))
        for version in reversed(versions)
    ]
    return page(
        request,
        "console/plan.html",
        place="plans",
        plan_key=plan_key,
        newest=shown[0],
        older=shown[1:],
        is_private=versions[-1].terms.is_private,
        on=asked,
        in_force=wording_on(versions, day=asked) if asked is not None else None,
    )


@staff_page(action=StaffAction.PLANS_VIEW, purpose="who holds a plan's version")
def cohort(request: StaffRequest, plan_key: str, version: int) -> HttpResponse:
    """The tenants that hold one version. Raises NotFound `plan_not_found`."""
    held = next((each for each in versions_of(plan_key=plan_key) if each.number == version), None)
    if held is None:
        raise NotFound("plan_not_found", "There is no such plan.", field="plan")
    state = ListState.read(request.GET)
    export = wants_csv(request)
    found = holders_of(
        plan_key=plan_key,
        version=version,
        search=state.search,
        limit=MAX_ROWS if export else state.limit,
        offset=0 if export else state.offset,
    )
    if export:
        return csv_of(columns=HOLDER_COLUMNS, rows=found.rows, name=f"{plan_key}-{version}")
    table = Table(
        columns=HOLDER_COLUMNS,
        rows=found.rows,
        total=found.total,
        state=state,
        caption=_("Tenants that hold this version"),
        empty_title=_("Nobody holds this version"),
        empty_text=_("It stays, since invoices of the past refer to it."),
        exportable=found.total <= MAX_ROWS,
    )
    return page(
        request,
        "console/cohort.html",
        place="plans",
        version=held,
        name=plan_name(held.document, language=get_language() or "en"),
        state=state,
        table=table,
    )


def _day(text: str) -> date | None:
    """The day of a date field; None where it is left empty or is none."""
    try:
        return date.fromisoformat(text) if len(text) == len("2026-03-01") else None
    except ValueError:
        return None
