"""A day of usage over all tenants, for the daily certificate: its figures, and what contradicts.

All need a cross-tenant scope.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Final

from metering.recount.queries import UsageDifference, stored_differences, usage_differences
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
    """How the day's values compare with what arrived, counted anew.

    `recorded` counts values that were said outright, for usage that is counted elsewhere or was corrected
    by hand: they are raw data themselves.
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
    """Compare the day's values with what arrived, counted anew."""
    found = usage_differences(
        from_day=day, to_day=day + timedelta(days=1), most=MOST_DIFFERENCES + 1
    )
    return _recount(found, day=day)


def kept_recount_of(*, day: date) -> Recount:
    """Compare the values of a day whose events are gone with the recount that was kept of it."""
    return _recount(stored_differences(day=day, most=MOST_DIFFERENCES + 1), day=day)


def _recount(found: Sequence[UsageDifference], *, day: date) -> Recount:
    with cursor() as execution:
        execution.execute("SELECT count(*) FROM metering_stated_usage WHERE day = %s", [day])
        (recorded,) = execution.fetchone()
    return Recount(
        differences=found[:MOST_DIFFERENCES],
        recorded=recorded,
        is_complete=len(found) <= MOST_DIFFERENCES,
    )


def recounted_values(*, day: date) -> int:
    """How many values of the day were counted anew and kept."""
    with cursor() as execution:
        execution.execute("SELECT count(*) FROM metering_usage_recount WHERE day = %s", [day])
        (count,) = execution.fetchone()
    return int(count)
