"""Events that were not taken: which, why, and what became of them; and how many were known already."""

from typing import Final

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from kernel import clock
from metering.activity.queries import activity_of_tenant
from metering.quarantine.queries import RejectedRow, rejected_codes, rejected_page
from portal.access import Here, member_page
from portal.frame import page
from tenants.permissions import MemberAction
from tenants.queries import tenant_profile_by_id
from ui.cells import Instant
from ui.rejected import why_cell
from ui.tables import Column, ListState, Table


def rejected_columns(zone: str) -> tuple[Column[RejectedRow], ...]:
    """The columns of refused events, with instants in the tenant's zone."""
    return (
        Column(
            key="at",
            label=_("Received"),
            value=lambda row: Instant(at=row.received_at, zone=zone),
        ),
        Column(key="code", label=_("Code"), value=lambda row: row.code),
        Column(key="detail", label=_("Why"), value=why_cell),
        Column(key="app", label=_("App"), value=lambda row: row.subject or None, minor=True),
        Column(key="source", label=_("Source"), value=lambda row: row.source or None, minor=True),
        Column(key="id", label=_("Event id"), value=lambda row: row.event_id or None),
        Column(
            key="replayed",
            label=_("Taken in later"),
            value=lambda row: Instant(at=row.replayed_at, zone=zone) if row.replayed_at else None,
            minor=True,
        ),
    )


_FILTER: Final = "code"


@member_page(action=MemberAction.USAGE_VIEW)
def rejected(request: HttpRequest, here: Here) -> HttpResponse:
    """Newest first, all or those of one code."""
    codes = rejected_codes(tenant_id=here.tenant_id)
    state = ListState.read(request.GET, filters={_FILTER: tuple(codes)})
    code = state.filters.get(_FILTER, "")
    rows = rejected_page(
        tenant_id=here.tenant_id, limit=state.limit, offset=state.offset, code=code
    )
    table = Table(
        columns=rejected_columns(tenant_profile_by_id(tenant_id=here.tenant_id).timezone),
        rows=rows,
        total=codes[code] if code else sum(codes.values()),
        state=state,
        caption=_("Rejected events"),
        empty_title=_("No event was rejected"),
        empty_text=_("Events that could not be counted would be listed here, with the reason."),
    )
    return page(
        request,
        here,
        "portal/rejected.html",
        place="usage",
        lately=activity_of_tenant(
            tenant_id=here.tenant_id, tenant_key=here.tenant_key, now=clock.now()
        ),
        table=table,
        codes=[(each, count, each == code) for each, count in codes.items()],
    )
