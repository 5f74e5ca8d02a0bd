"""The tenant's own part of a day's certificate: its usage counted twice, its documents and the ledger."""

from datetime import date, timedelta
from typing import Final
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from billing.certificates.documents import OwnDocument, own_documents
from metering import queries as metering
from portal.access import Here, member_page
from portal.frame import page
from tenants.permissions import MemberAction
from tenants.queries import apps_of, tenant_profile_by_id
from ui import words
from ui.cells import Status
from ui.tables import Column, Table

DOCUMENTS: Final[tuple[Column[OwnDocument], ...]] = (
    Column(key="number", label=_("Document"), value=lambda row: row.number),
    Column(key="total", label=_("Total"), value=lambda row: row.total, numeric=True),
    Column(key="posted", label=_("In the ledger"), value=lambda row: row.posted, numeric=True),
    Column(key="state", label=_("State"), value=lambda row: _state(row.total == row.posted)),
)


def _usage_columns(apps: dict[UUID, str]) -> tuple[Column[metering.CountedTwice], ...]:
    return (
        Column(key="app", label=_("App"), value=lambda row: apps.get(row.app_id, str(row.app_id))),
        Column(key="meter", label=_("Meter"), value=lambda row: words.word("meter", row.meter)),
        Column(key="kind", label=_("Kind"), value=lambda row: row.kind, minor=True),
        Column(key="value", label=_("Usage"), value=lambda row: row.value, numeric=True),
        Column(
            key="recounted",
            label=_("Counted a second time"),
            value=lambda row: "" if row.recounted is None else row.recounted,
            numeric=True,
        ),
        Column(key="state", label=_("State"), value=_state_of),
    )


def _state(agrees: bool) -> Status:
    return words.status("certificate", "agreed" if agrees else "drifted")


def _state_of(row: metering.CountedTwice) -> Status | str:
    return "" if row.recounted is None else _state(row.agrees)


@member_page(action=MemberAction.USAGE_VIEW)
def certificate(request: HttpRequest, here: Here) -> HttpResponse:
    """A closed day, the last one unless the address names another."""
    until = metering.closed_until(tenant_ids=[here.tenant_id]).get(here.tenant_id)
    last = until and until - timedelta(days=1)
    day = _day_of(request.GET.get("day", "")) or last
    is_closed = day is not None and until is not None and day < until
    shown = day if is_closed else None
    sees_documents = here.may(MemberAction.INVOICES_VIEW)
    return page(
        request,
        here,
        "portal/certificate.html",
        place="usage",
        day=day,
        last_closed=last,
        is_closed=is_closed,
        zone=tenant_profile_by_id(tenant_id=here.tenant_id).timezone,
        usage=Table(
            columns=_usage_columns({app.id: app.key for app in apps_of(tenant_id=here.tenant_id)}),
            rows=[]
            if shown is None
            else metering.counted_twice(tenant_id=here.tenant_id, day=shown),
            caption=_("Usage of the day"),
            empty_title=_("No usage on this day"),
            empty_text=_("Choose another day, or look at the usage."),
        ),
        documents=Table(
            columns=DOCUMENTS,
            rows=[] if shown is None else own_documents(tenant_id=here.tenant_id, day=shown),
            caption=_("Documents issued on the day"),
            empty_title=_("No document was issued on this day"),
            empty_text=_("Invoices are issued when a period and its grace are over."),
        )
        if sees_documents
        else None,
    )


def _day_of(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
