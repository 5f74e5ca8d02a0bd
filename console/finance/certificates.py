"""Daily certificates: day by day whether what was counted, billed and posted agree, and what differs."""

from typing import Final
from uuid import UUID

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from billing.certificates.queries import (
    CertificateRow,
    certificate_count,
    certificate_rows,
    find_certificate,
)
from console.access import StaffRequest, staff_page
from console.frame import page
from kernel.errors import NotFound
from kernel.money import Money
from tenants.permissions import StaffAction
from ui import words
from ui.cells import Instant, Link
from ui.tables import Column, ListState, Table

COLUMNS: Final[tuple[Column[CertificateRow], ...]] = (
    Column(
        key="day",
        label=_("Day"),
        value=lambda row: Link(
            text=row.day.isoformat(), url=reverse("console:certificate", args=[row.id]), whole=True
        ),
    ),
    Column(key="state", label=_("State"), value=lambda row: words.status("certificate", row.state)),
    Column(
        key="differences", label=_("Differences"), value=lambda row: row.differences, numeric=True
    ),
    Column(
        key="version", label=_("Version"), value=lambda row: row.version, numeric=True, minor=True
    ),
    Column(
        key="made",
        label=_("Signed (UTC)"),
        value=lambda row: Instant(at=row.made_at, zone="UTC"),
        minor=True,
    ),
)


@staff_page(action=StaffAction.LEDGER_VIEW, purpose="daily certificates")
def certificate_list(request: StaffRequest) -> HttpResponse:
    """Newest day first."""
    state = ListState.read(request.GET)
    return page(
        request,
        "console/certificates.html",
        place="certificates",
        table=Table(
            columns=COLUMNS,
            rows=certificate_rows(limit=state.limit, offset=state.offset),
            total=certificate_count(),
            state=state,
            caption=_("Daily certificates"),
            empty_title=_("No certificate yet"),
            empty_text=_(
                "A day is certified once it is over in every time zone and its usage is closed; see that "
                "worker and scheduler run."
            ),
        ),
    )


@staff_page(action=StaffAction.LEDGER_VIEW, purpose="a daily certificate")
def certificate(request: StaffRequest, certificate_id: UUID) -> HttpResponse:
    """What was compared, what differs, and the signed text."""
    found = find_certificate(certificate_id=certificate_id)
    if found is None:
        raise NotFound("certificate_not_found", "There is no such certificate.")
    document = found.document
    return page(
        request,
        "console/certificate.html",
        place="certificates",
        certificate=found,
        state=words.status("certificate", found.state),
        checks=[
            {
                "label": words.word("check", check["name"]),
                **check,
                "findings": [
                    {
                        "label": words.word("finding", finding["code"]),
                        "where": [
                            (name, value) for name, value in finding.items() if name != "code"
                        ],
                    }
                    for finding in check["findings"]
                ],
            }
            for check in document["checks"]
        ],
        usage=document["usage"],
        documents=[
            {
                "count": each["documents"],
                "total": Money(each["total_minor"], each["currency"]),
                "posted": Money(each["posted_minor"], each["currency"]),
            }
            for each in document["documents"]
        ],
        public_key=found.public_key.hex(),
        signature=found.signature.hex(),
    )
