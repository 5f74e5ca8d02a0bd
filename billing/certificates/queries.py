"""The certificates that were made. All need a cross-tenant scope."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from billing.certificates.models import Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRow:
    """A certificate as lists show it."""

    id: UUID
    day: date
    version: int
    state: str
    differences: int
    made_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateView:
    """A certificate whole."""

    id: UUID
    day: date
    version: int
    state: str
    document: Mapping[str, Any]
    text: str
    public_key: bytes
    signature: bytes
    made_at: datetime


def certificate_rows(*, limit: int, offset: int = 0) -> list[CertificateRow]:
    """Newest day first, of a day the newest version."""
    return [
        CertificateRow(
            id=row.id,
            day=row.day,
            version=row.version,
            state=row.state,
            differences=sum(check["differences"] for check in row.document["checks"]),
            made_at=row.made_at,
        )
        for row in Certificate.objects.order_by("-day", "-version")[offset : offset + limit]
    ]


def certificate_count() -> int:
    return Certificate.objects.count()


def latest_certificate(*, day: date) -> CertificateView | None:
    """The newest version of a day's certificate."""
    return _view(Certificate.objects.filter(day=day).order_by("-version").first())


def find_certificate(*, certificate_id: UUID) -> CertificateView | None:
    return _view(Certificate.objects.filter(id=certificate_id).first())


def certified_days(*, days: Sequence[date]) -> dict[date, str]:
    """Those of the days that have a certificate, each with the state of its newest version."""
    rows = Certificate.objects.filter(day__in=list(days)).order_by("day", "version")
    return dict(rows.values_list("day", "state"))


def _view(row: Certificate | None) -> CertificateView | None:
    if row is None:
        return None
    return CertificateView(
        id=row.id,
        day=row.day,
        version=row.version,
        state=row.state,
        document=row.document,
        text=row.text,
        public_key=bytes(row.public_key),
        signature=bytes(row.signature),
        made_at=row.made_at,
    )
