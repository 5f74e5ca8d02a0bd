"""What operations see of gateways: each with its last report, and what is missing."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count, Q

from metering.reports.models import Gateway, GatewayGap, SealedUsage
from tenants.queries import people_of
from work.connections import cursor


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayRow:
    """A gateway; the last three are None before its first report."""

    key: str
    deployment: str
    created_at: datetime
    revoked_at: datetime | None
    open_gaps: int
    last_received_at: datetime | None
    last_epoch: str | None
    last_sequence: int | None
    conflict_at: datetime | None = None
    conflict_sequence: int | None = None

    @property
    def is_in_conflict(self) -> bool:
        """Whether it sent a sequence again with other content, and nothing was taken since."""
        return self.conflict_at is not None and (
            self.last_received_at is None or self.conflict_at >= self.last_received_at
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GapRow:
    """Missing sequences of a gateway; released ones do not hold days. `released_by` is for people to read."""

    id: UUID
    gateway: str
    epoch: str
    first: int
    last: int
    held_from: datetime
    noticed_at: datetime
    released_at: datetime | None
    released_by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownApp:
    """An app that reports named and nobody had, with how many reports wait to be taken in.

    `tenant_key` is whose it is by now, "" as long as nobody has it.
    """

    app: str
    waiting: int
    first_at: datetime
    last_at: datetime
    gateway: str
    tenant_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownApps:
    """A page of them; `total` counts all."""

    rows: list[UnknownApp]
    total: int


def unknown_apps(*, limit: int, offset: int = 0, tenant_id: UUID | None = None) -> UnknownApps:
    """Apps whose usage waits, the latest first, each with a gateway that told of it; all, or those that are
    one tenant's by now. In the caller's cross-tenant scope."""
    with cursor() as execution:
        execution.execute(
            """
            SELECT waiting.app, reports, first_at, last_at, gateway.key, coalesce(tenant.key, ''),
                   count(*) OVER ()
              FROM (SELECT app, count(*) AS reports, min(received_at) AS first_at,
                           max(received_at) AS last_at,
                           (array_agg(gateway_id ORDER BY received_at DESC))[1] AS gateway_id
                      FROM metering_sealed_usage WHERE sealed IS NOT NULL GROUP BY app) AS waiting
              JOIN metering_gateway gateway ON gateway.id = waiting.gateway_id
              LEFT JOIN tenants_app app ON app.key = waiting.app
              LEFT JOIN tenants_tenant tenant ON tenant.id = app.tenant_id
             WHERE %(tenant)s::uuid IS NULL OR app.tenant_id = %(tenant)s::uuid
             ORDER BY last_at DESC, waiting.app LIMIT %(limit)s OFFSET %(offset)s
            """,
            {
                "tenant": None if tenant_id is None else str(tenant_id),
                "limit": limit,
                "offset": offset,
            },
        )
        found = execution.fetchall()
    return UnknownApps(
        rows=[
            UnknownApp(
                app=app,
                waiting=waiting,
                first_at=first_at,
                last_at=last_at,
                gateway=gateway,
                tenant_key=tenant_key,
            )
            for app, waiting, first_at, last_at, gateway, tenant_key, _ in found
        ],
        total=found[0][-1] if found else 0,
    )


def sealed_counts(*, since: datetime) -> tuple[int, int]:
    """How much of what reports told of unknown apps since then waits, and how much was taken in."""
    found = SealedUsage.objects.filter(received_at__gte=since).aggregate(
        waiting=Count("rejected_id", filter=Q(sealed__isnull=False)),
        replayed=Count("rejected_id", filter=Q(replayed_at__isnull=False)),
    )
    return found["waiting"], found["replayed"]


def gateway_rows(*, limit: int, offset: int = 0) -> list[GatewayRow]:
    """Gateways by key, in the caller's cross-tenant scope."""
    with cursor() as execution:
        execution.execute(
            """
            SELECT gateway.key, gateway.deployment, gateway.created_at, gateway.revoked_at,
                   (SELECT count(*) FROM metering_gateway_gap gap
                     WHERE gap.gateway_id = gateway.id AND gap.released_at IS NULL) AS open_gaps,
                   last.received_at AS last_received_at, last.epoch AS last_epoch,
                   last.sequence AS last_sequence, gateway.conflict_at, gateway.conflict_sequence
              FROM metering_gateway gateway
              LEFT JOIN LATERAL (
                SELECT received_at, epoch, sequence FROM metering_gateway_report report
                 WHERE report.gateway_id = gateway.id
                 ORDER BY received_at DESC, sequence DESC LIMIT 1
              ) AS last ON true
             ORDER BY gateway.key LIMIT %s OFFSET %s
            """,
            [limit, offset],
        )
        names = [column.name for column in execution.description]
        return [GatewayRow(**dict(zip(names, row, strict=True))) for row in execution.fetchall()]


def gateway_count() -> int:
    return Gateway.objects.count()


def gap_rows(*, limit: int = 100) -> list[GapRow]:
    """Gaps that hold days first, then the newest that were released; at most `limit`."""
    gaps = list(GatewayGap.objects.order_by("-released_at", "noticed_at")[:limit])
    people = people_of({gap.released_by for gap in gaps})
    keys = dict(
        Gateway.objects.filter(id__in={gap.gateway_id for gap in gaps}).values_list("id", "key")
    )
    return [
        GapRow(
            id=gap.id,
            gateway=keys[gap.gateway_id],
            epoch=gap.epoch,
            first=gap.first_sequence,
            last=gap.last_sequence,
            held_from=gap.held_from,
            noticed_at=gap.noticed_at,
            released_at=gap.released_at,
            released_by=people.get(gap.released_by, gap.released_by),
            reason=gap.reason,
        )
        for gap in gaps
    ]


def gateways_holding(*, tenant_id: UUID) -> list[str]:
    """The keys of the gateways whose missing reports hold the tenant's days, in a cross-tenant scope."""
    with cursor() as execution:
        execution.execute(
            """
            SELECT DISTINCT gateway.key COLLATE "C"
              FROM metering_gateway_tenant reported
              JOIN metering_gateway_gap gap ON gap.gateway_id = reported.gateway_id
              JOIN metering_gateway gateway ON gateway.id = reported.gateway_id
             WHERE reported.tenant_id = %s::uuid AND gap.released_at IS NULL
             ORDER BY 1
            """,
            [str(tenant_id)],
        )
        return [key for (key,) in execution.fetchall()]
