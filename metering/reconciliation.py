"""A day of usage over all tenants, for the daily certificate: its figures, and what contradicts.

All need a cross-tenant scope.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from metering.rollup.queries import UsageDifference, usage_differences
from metering.rollup.services.rebuild_usage import COUNTED_REASONS
from work.connections import cursor

MOST_DIFFERENCES: Final = 100_000
"""How many values that differ from the events are looked at; more of them say that all is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterDay:
    """A meter's values of a day, corrections included: how many, and their sum."""

    meter: str
    values: int
    total: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenGap:
    """Missing reports of a gateway that hold the day."""

    gateway: str
    epoch: str
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Recount:
    """How the day's values compare with a recount of the events.

    `recorded` counts values that were recorded outright, for usage that is counted elsewhere: those
    without any counted event, and those whose difference is what was corrected by hand.
    """

    differences: Sequence[UsageDifference]
    recorded: int
    is_complete: bool
    """False: there are more differences than were looked at."""


def meter_days(*, day: date) -> list[MeterDay]:
    """By meter."""
    with cursor() as execution:
        execution.execute(
            """
            SELECT meter, count(*), trim_scale(sum(value)) FROM (
                SELECT tenant_id, app_id, meter, kind, sum(value) AS value FROM (
                    SELECT tenant_id, app_id, meter, kind, value FROM metering_daily_usage
                     WHERE day = %(day)s
                    UNION ALL
                    SELECT tenant_id, app_id, meter, kind, delta FROM metering_correction
                     WHERE day = %(day)s
                ) AS parts GROUP BY tenant_id, app_id, meter, kind
            ) AS of_day GROUP BY meter ORDER BY meter
            """,
            {"day": day},
        )
        return [
            MeterDay(meter=meter, values=values, total=total)
            for meter, values, total in execution.fetchall()
        ]


def open_tenants(*, day: date) -> int:
    """How many tenants have usage of the day and have not closed it."""
    with cursor() as execution:
        execution.execute(
            """
            SELECT count(DISTINCT usage.tenant_id)
              FROM metering_daily_usage usage
              LEFT JOIN metering_watermark watermark USING (tenant_id)
             WHERE usage.day = %(day)s
               AND (watermark.closed_until IS NULL OR watermark.closed_until <= %(day)s)
            """,
            {"day": day},
        )
        (count,) = execution.fetchone()
    return int(count)


def closed_tenants(*, day: date) -> int:
    """How many tenants closed the day with usage."""
    with cursor() as execution:
        execution.execute("SELECT count(*) FROM metering_day_close WHERE day = %s", [day])
        (count,) = execution.fetchone()
    return int(count)


def reports_of(*, day: date) -> tuple[int, list[OpenGap]]:
    """How many reports there are of windows that begin on the UTC day, and the gaps that hold it."""
    begins_at = datetime.combine(day, time(), tzinfo=UTC)
    ends_at = begins_at + timedelta(days=1)
    with cursor() as execution:
        execution.execute(
            "SELECT count(*) FROM metering_gateway_report WHERE starts_at >= %s AND starts_at < %s",
            [begins_at, ends_at],
        )
        (reports,) = execution.fetchone()
        execution.execute(
            """
            SELECT gateway.key, gap.epoch, gap.first_sequence, gap.last_sequence
              FROM metering_gateway_gap gap JOIN metering_gateway gateway
                   ON gateway.id = gap.gateway_id
             WHERE gap.released_at IS NULL AND gap.held_from < %s
             ORDER BY gateway.key, gap.epoch, gap.first_sequence
            """,
            [ends_at],
        )
        gaps = [
            OpenGap(gateway=gateway, epoch=epoch, first=first, last=last)
            for gateway, epoch, first, last in execution.fetchall()
        ]
    return int(reports), gaps


def recount_of(*, day: date) -> Recount:
    """Compare the day's values with a recount of the events, where those are still kept."""
    found = usage_differences(
        from_day=day, to_day=day + timedelta(days=1), most=MOST_DIFFERENCES + 1
    )
    by_hand = _corrected_by_hand(day=day) if found else {}
    differences = []
    for each in found[:MOST_DIFFERENCES]:
        corrected = by_hand.get((each.tenant_id, each.app_id, each.meter, each.kind), Decimal(0))
        if each.recounted and each.stored - corrected != each.recounted:
            differences.append(each)
    return Recount(
        differences=differences,
        recorded=min(len(found), MOST_DIFFERENCES) - len(differences),
        is_complete=len(found) <= MOST_DIFFERENCES,
    )


def _corrected_by_hand(*, day: date) -> dict[tuple[UUID, UUID, str, str], Decimal]:
    """What was corrected with a reason of somebody's own, by tenant, app, meter and dimensions."""
    with cursor() as execution:
        execution.execute(
            """
            SELECT tenant_id, app_id, meter, kind, sum(delta) FROM metering_correction
             WHERE day = %s AND reason <> ALL (%s)
             GROUP BY tenant_id, app_id, meter, kind
            """,
            [day, list(COUNTED_REASONS)],
        )
        return {
            (tenant_id, app_id, meter, kind): delta
            for tenant_id, app_id, meter, kind, delta in execution.fetchall()
        }
