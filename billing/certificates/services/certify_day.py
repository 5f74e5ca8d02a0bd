"""Sign what was found of a day, once for each state in which it was found."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from uuid import UUID

from django.conf import settings

from billing.certificates.chain import reconcile
from billing.certificates.domain import CertificateState, Reconciliation, certificate_text
from billing.certificates.models import Certificate
from billing.certificates.queries import certified_days, latest_certificate
from kernel import ids
from metering.proof.domain import Signer
from metering.services import roll_up_pending
from tenants.scope import system_scope
from work import outbox
from work.connections import cursor

_LOG: Final = logging.getLogger(__name__)
_LOOKED_AT_AGAIN: Final = timedelta(days=3)
_LOOKED_BACK: Final = timedelta(days=35)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """What was found, and the certificate that says so: None while the day is not closed."""

    found: Reconciliation
    certificate_id: UUID | None
    version: int | None
    is_new: bool


def certify_day(*, day: date, now: datetime) -> Certified:
    """Reconcile a day, counting everything that was committed before, and keep a signed certificate of a
    day that is closed; opens its own scopes.

    A day that is found as it was certified last gets no further version, so that it can be run at any
    time. A new certificate of a day that drifted is an error in the log and the message
    `certificate.drifted` of the outbox.
    """
    roll_up_pending(now=now)
    with system_scope(purpose=f"reconcile {day}"):
        with cursor() as db:
            db.execute("SELECT pg_advisory_xact_lock(hashtextextended('daily certificate', 0))")
        found = reconcile(day=day, now=now)
        if not found.is_closed:
            return Certified(found=found, certificate_id=None, version=None, is_new=False)
        last = latest_certificate(day=day)
        document = found.document()
        if last is not None and last.document == document:
            return Certified(
                found=found, certificate_id=last.id, version=last.version, is_new=False
            )
        signer = Signer(master_key=settings.SUMMIT_HASH_KEY.encode())
        version = 1 if last is None else last.version + 1
        text = certificate_text(document=document, version=version, made_at=now)
        row = Certificate.objects.create(
            id=ids.new_id(),
            day=day,
            version=version,
            state=found.state,
            document=document,
            text=text,
            public_key=signer.public_key,
            signature=signer.sign_text(text),
            made_at=now,
        )
        if not found.agrees:
            _alarm(found, certificate_id=row.id)
        return Certified(found=found, certificate_id=row.id, version=version, is_new=True)


def certify_recent_days(*, now: datetime) -> dict[date, Certified]:
    """Certify the days of the last five weeks that have no certificate or drifted, and look again at
    those of the last three days, which late usage may have changed; opens its own scopes."""
    days = list(_days(now=now, back=_LOOKED_BACK))
    with system_scope(purpose="days to certify"):
        known = certified_days(days=days)
    recent = set(_days(now=now, back=_LOOKED_AT_AGAIN))
    return {
        day: certify_day(day=day, now=now)
        for day in days
        if day in recent or known.get(day) != CertificateState.AGREED
    }


def _days(*, now: datetime, back: timedelta) -> Iterator[date]:
    today = now.astimezone(UTC).date()
    return (today - timedelta(days=each) for each in range(back.days, 0, -1))


def _alarm(found: Reconciliation, *, certificate_id: UUID) -> None:
    first = found.first_finding
    _LOG.error(
        "the day %s does not reconcile: %s",
        found.day,
        None if first is None else first.document(),
    )
    outbox.publish(
        topic="certificate.drifted",
        key=str(certificate_id),
        payload={"certificate_id": str(certificate_id)},
        tenant_id=None,
    )
