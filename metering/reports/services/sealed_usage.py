"""What reports tell of apps that nobody has: kept sealed, and taken in once when the app was made.

A gateway sends each report once, so what is refused would be lost. Its users' ids can't be hashed before
their tenant is known; until then they are kept under SECRET_KEY, and are gone once they are counted.
"""

import base64
import hashlib
import hmac
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings

from kernel import ids
from kernel.errors import Invalid
from metering.ingest.queries import AppFacts, apps_by_key, tenant_facts
from metering.ingest.services.admit import ROLL_UP, Teller
from metering.ingest.services.store_events import Columns, keep_events
from metering.reports.domain import AppUsage
from metering.reports.models import Gateway, GatewayTenant, SealedUsage
from metering.reports.services.report_columns import ReportPlace, add_usage, no_columns
from tenants.models import App
from tenants.scope import system_scope
from work import jobs

_REPORTS_AT_A_TIME: Final = 100
_UNREADABLE: Final = "sealed_under_another_key"
_encoded = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder(AppUsage).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayedUsage:
    """How many apps' usage was tried and taken in; `rejected` counts what is still refused, by code."""

    tried: int = 0
    accepted: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)


def seal_usage(usage: AppUsage, *, rejected_id: UUID, place: ReportPlace, now: datetime) -> None:
    """Keep what a report tells of an app that nobody has, in the caller's transaction."""
    SealedUsage.objects.create(
        rejected_id=rejected_id,
        gateway_id=place.gateway.id,
        epoch=place.epoch,
        sequence=place.sequence,
        app=usage.app,
        starts_at=place.starts_at,
        received_at=now,
        users=len(set(usage.active_users)),
        sealed=_cipher().encrypt(zlib.compress(_encoded(usage))),
    )


def tenants_with_sealed_usage(*, tenant_id: UUID | None) -> set[UUID]:
    """Whose apps are named by usage that waits; of one tenant or of all that the scope shows."""
    apps = App.objects.filter(
        key__in=SealedUsage.objects.filter(sealed__isnull=False).values("app")
    )
    if tenant_id is not None:
        apps = apps.filter(tenant_id=tenant_id)
    return set(apps.values_list("tenant_id", flat=True))


def replay_sealed_usage(*, tenant_id: UUID, now: datetime, actor: str) -> ReplayedUsage:
    """Take in what reports told of the tenant's apps before these were made; opens its own scopes, one
    for a hundred of them.

    Each counts once, however often and by however many this is done: it is locked, and its content is
    gone with the same transaction that stores it.
    """
    tried, accepted = 0, 0
    rejected: Counter[str] = Counter()
    after: SealedUsage | None = None
    while True:
        with system_scope(purpose="replay refused reports", actor=actor):
            waiting = _waiting(tenant_id, after=after)
            if not waiting:
                return ReplayedUsage(tried=tried, accepted=accepted, rejected=dict(rejected))
            faults = _take_in(waiting, tenant_id=tenant_id, now=now, actor=actor)
        tried += len(waiting)
        accepted += len(waiting) - faults.total()
        rejected += faults
        after = waiting[-1]


def _waiting(tenant_id: UUID, *, after: SealedUsage | None) -> list[SealedUsage]:
    rows = SealedUsage.objects.select_for_update().filter(
        sealed__isnull=False, app__in=App.objects.filter(tenant_id=tenant_id).values("key")
    )
    if after is not None:
        rows = rows.filter(rejected_id__gt=after.rejected_id)
    return list(rows.order_by("rejected_id")[:_REPORTS_AT_A_TIME])


def _take_in(
    waiting: Sequence[SealedUsage], *, tenant_id: UUID, now: datetime, actor: str
) -> Counter[str]:
    """Store what can be stored; gives the codes of what can't."""
    teller = Teller(tenant_facts(tenant_ids=[tenant_id])[tenant_id])
    apps = apps_by_key(keys={each.app for each in waiting})
    gateways = Gateway.objects.in_bulk({each.gateway_id for each in waiting})
    columns = no_columns()
    faults: Counter[str] = Counter()
    taken: list[SealedUsage] = []
    for each in waiting:
        fault = _fault_of_adding(
            each, columns=columns, app=apps[each.app], teller=teller, gateways=gateways
        )
        if fault:
            faults[fault] += 1
            continue
        each.sealed, each.replayed_at, each.replayed_by = None, now, actor[:254]
        taken.append(each)
    if len(columns):
        batch_id = ids.new_id()
        keep_events(columns, batch_id=batch_id, now=now)
        jobs.enqueue(kind=ROLL_UP, key=f"batch:{batch_id}", payload={})
    SealedUsage.objects.bulk_update(taken, ["sealed", "replayed_at", "replayed_by"])
    GatewayTenant.objects.bulk_create(
        [
            GatewayTenant(tenant_id=tenant_id, gateway_id=each)
            for each in sorted({row.gateway_id for row in taken})
        ],
        ignore_conflicts=True,
    )
    return faults


def _fault_of_adding(
    waiting: SealedUsage,
    *,
    columns: Columns,
    app: AppFacts,
    teller: Teller,
    gateways: Mapping[UUID, Gateway],
) -> str:
    """Add it to the columns; the code of what hinders that, or ""."""
    try:
        usage = _read(zlib.decompress(_cipher().decrypt(bytes(waiting.sealed or b""))))
        add_usage(
            columns,
            usage,
            app=app,
            teller=teller,
            place=ReportPlace(
                gateway=gateways[waiting.gateway_id],
                epoch=waiting.epoch,
                sequence=waiting.sequence,
                starts_at=waiting.starts_at,
            ),
        )
    except InvalidToken:
        return _UNREADABLE
    except Invalid as error:
        return error.code
    return ""


def _cipher() -> Fernet:
    key = hmac.new(settings.SECRET_KEY.encode(), b"sealed usage", hashlib.sha256).digest()
    return Fernet(base64.urlsafe_b64encode(key))
