"""Take in a gateway's report: once for each place in its sequence, for all tenants that it names."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from cryptography.fernet import InvalidToken

from kernel import ids
from kernel.errors import Conflict, Forbidden, Invalid
from metering.ingest.domain import limits
from metering.ingest.models import RejectedEvent
from metering.ingest.queries import AppFacts, apps_by_key, tenant_facts
from metering.ingest.services.admit import ROLL_UP, Teller
from metering.ingest.services.store_events import keep_events
from metering.reports.domain import (
    AppUsage,
    Gap,
    RefusedUsage,
    Report,
    ReportResult,
    content_digest,
    gaps_after,
    is_signed,
)
from metering.reports.models import Gateway, GatewayGap, GatewayReport, GatewayTenant
from metering.reports.services.gateways import secret_of
from metering.reports.services.report_columns import ReportPlace, add_usage, no_columns
from metering.reports.services.sealed_usage import seal_usage
from work import jobs


def receive_report(
    *, report: Report, body: bytes, headers: Mapping[str, str], now: datetime
) -> ReportResult:
    """Count a signed report, or acknowledge one that was counted before, in the caller's cross-tenant
    transaction; nothing is acknowledged before it has committed.

    What it counts becomes a batch of each tenant and is rolled up like events: users are distinct over
    all gateways, counts are summed. A window belongs to the local day in which it starts. An app that
    nobody has is told in the result and kept, to be taken in when it was made; the rest is counted. Reports of one
    gateway wait for one another.

    Raises Forbidden `invalid_signature`, Invalid `report_too_old`, `report_in_future`, Conflict
    `conflicting_report`.
    """
    gateway = Gateway.objects.select_for_update().filter(key=report.gateway).first()
    if gateway is None or gateway.revoked_at is not None or not _is_signed(
        gateway, headers=headers, body=body, now=now
    ):  # fmt: skip
        raise Forbidden(
            "invalid_signature",
            "The report is not signed by a gateway that is known: check its key, its secret, and its "
            "clock, which may be five minutes off.",
        )
    digest = content_digest(report)
    taken = GatewayReport.objects.filter(
        gateway_id=gateway.id, epoch=report.epoch, sequence=report.sequence
    ).first()
    if taken is not None:
        if bytes(taken.digest) != digest:
            raise Conflict(
                "conflicting_report",
                f"Sequence {report.sequence} was reported with other content; a gateway that begins "
                "anew with 1 names a new epoch.",
                field="sequence",
            )
        return ReportResult(is_duplicate=True, marks=taken.marks, gaps=_open_gaps(gateway.id))
    _check_age(report, now=now)
    marks, rejected, tenant_ids = _keep(report, gateway=gateway, now=now)
    _note_gaps(report, gateway=gateway, now=now)
    GatewayReport.objects.create(
        gateway_id=gateway.id,
        epoch=report.epoch,
        sequence=report.sequence,
        digest=digest,
        starts_at=report.window.starts_at,
        ends_at=report.window.ends_at,
        received_at=now,
        marks=marks,
    )
    GatewayTenant.objects.bulk_create(
        [GatewayTenant(tenant_id=each, gateway_id=gateway.id) for each in sorted(tenant_ids)],
        ignore_conflicts=True,
    )
    return ReportResult(
        is_duplicate=False,
        apps=len(report.apps) - len(rejected),
        marks=marks,
        rejected=rejected,
        gaps=_open_gaps(gateway.id),
    )


def _is_signed(
    gateway: Gateway, *, headers: Mapping[str, str], body: bytes, now: datetime
) -> bool:  # fmt: skip
    try:
        secret = secret_of(gateway)
    except InvalidToken:
        return False
    return is_signed(secret=secret, headers=headers, body=body, now=now)


def _check_age(report: Report, *, now: datetime) -> None:
    if now - report.window.starts_at > limits.OLDEST:
        raise Invalid(
            "report_too_old",
            f"The window began more than {limits.OLDEST.days} days back; older usage comes in by an "
            "import.",
            field="window",
        )
    if report.window.ends_at - now > limits.FURTHEST_AHEAD:
        raise Invalid(
            "report_in_future",
            "The window ends more than 5 minutes ahead; set the gateway's clock, and report a window "
            "when it is over.",
            field="window",
        )


def _keep(
    report: Report, *, gateway: Gateway, now: datetime
) -> tuple[int, list[RefusedUsage], set[UUID]]:
    """Write what is counted; gives the number of marks, what is not counted, and whose it is."""
    apps = apps_by_key(keys={usage.app for usage in report.apps})
    tellers = {
        facts.id: Teller(facts)
        for facts in tenant_facts(tenant_ids={app.tenant_id for app in apps.values()}).values()
    }
    place = ReportPlace(
        gateway=gateway,
        epoch=report.epoch,
        sequence=report.sequence,
        starts_at=report.window.starts_at,
    )
    columns = no_columns()
    refused: list[tuple[AppUsage, RefusedUsage]] = []
    tenant_ids: set[UUID] = set()
    marks = 0
    for usage in report.apps:
        app = apps.get(usage.app)
        if app is None:
            fault = Invalid("unknown_app", f"There is no app {usage.app!r}.")
            refused.append((usage, _refused(usage, fault)))
            continue
        try:
            marks += add_usage(columns, usage, app=app, teller=tellers[app.tenant_id], place=place)
        except Invalid as fault:
            refused.append((usage, _refused(usage, fault)))
            continue
        tenant_ids.add(app.tenant_id)
    if len(columns):
        batch_id = ids.new_id()
        keep_events(columns, batch_id=batch_id, now=now)
        jobs.enqueue(kind=ROLL_UP, key=f"batch:{batch_id}", payload={})
    _quarantine(refused, apps=apps, place=place, now=now)
    return marks, [each for _, each in refused], tenant_ids


def _refused(usage: AppUsage, fault: Invalid) -> RefusedUsage:
    return RefusedUsage(app=usage.app, code=fault.code, detail=fault.message)


def _note_gaps(report: Report, *, gateway: Gateway, now: datetime) -> None:
    """Find out what is missing now. The gateway's row is locked."""
    of_epoch = {"gateway_id": gateway.id, "epoch": report.epoch}
    last = GatewayReport.objects.filter(**of_epoch).order_by("-sequence").first()
    rows = {
        Gap(
            first=row.first_sequence, last=row.last_sequence, held_from=row.held_from
        ): row
        for row in GatewayGap.objects.filter(**of_epoch)
    }  # fmt: skip
    _, filled, added = gaps_after(
        highest=0 if last is None else last.sequence,
        gaps=list(rows),
        sequence=report.sequence,
        window=report.window,
        last_ends_at=None if last is None else last.ends_at,
    )
    # What is left of a gap that was released stays released.
    former = rows[filled[0]] if filled else None
    GatewayGap.objects.filter(id__in=[rows[gap].id for gap in filled]).delete()
    GatewayGap.objects.bulk_create(
        GatewayGap(
            **of_epoch,
            id=ids.new_id(),
            first_sequence=gap.first,
            last_sequence=gap.last,
            held_from=gap.held_from,
            noticed_at=now if former is None else former.noticed_at,
            released_at=None if former is None else former.released_at,
            released_by="" if former is None else former.released_by,
            reason="" if former is None else former.reason,
        )
        for gap in added
    )


def _open_gaps(gateway_id: UUID) -> list[tuple[str, int, int]]:
    gaps = GatewayGap.objects.filter(gateway_id=gateway_id, released_at=None)
    return list(
        gaps.order_by("noticed_at", "first_sequence").values_list(
            "epoch", "first_sequence", "last_sequence"
        )[:100]
    )


def _quarantine(
    refused: Sequence[tuple[AppUsage, RefusedUsage]],
    *,
    apps: Mapping[str, AppFacts],
    place: ReportPlace,
    now: datetime,
) -> None:
    """Keep each with its code for operations to see; usage of an app that nobody has as a whole."""
    rows: list[RejectedEvent] = []
    for usage, told in refused:
        rejected_id = ids.new_id()
        if told.code == "unknown_app":
            seal_usage(usage, rejected_id=rejected_id, place=place, now=now)
        rows.append(
            RejectedEvent(
                id=rejected_id,
                tenant_id=apps[usage.app].tenant_id if usage.app in apps else None,
                received_at=now,
                subject=usage.app,
                source=f"gateway:{place.gateway.key}",
                event_id=f"{place.epoch}/{place.sequence}",
                code=told.code,
                detail=told.detail[:500],
                content={
                    "counts": {name: str(count)[:40] for name, count in usage.counts.items()},
                    "active_users": len(usage.active_users),
                },
            )
        )
    RejectedEvent.objects.bulk_create(rows)
