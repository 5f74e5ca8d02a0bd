"""Whether Python and PostgreSQL know the same time zones: each carries a table of its own."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from work.connections import cursor

_logger = logging.getLogger(__name__)
_BACK: Final = 13
_AHEAD: Final = 25
_STEP: Final = timedelta(days=30)


def compare_zones(*, now: datetime) -> list[str]:
    """The tenants' zones whose local times differ between the two in the year past or the two to come; in
    the caller's cross-tenant scope.

    Days are cut by Python alone, so nothing is billed wrongly for it; what lists filter and show by
    PostgreSQL may be an hour off. A warning says so: bring the older of the two up to date.
    """
    instants = [now + _STEP * step for step in range(-_BACK, _AHEAD)]
    with cursor() as db:
        db.execute(
            "SELECT z.timezone, array_agg((m.at AT TIME ZONE z.timezone)::text ORDER BY m.at)"
            " FROM (SELECT DISTINCT t.timezone FROM tenants_tenant t"
            "         JOIN pg_timezone_names n ON n.name = t.timezone) AS z"
            " CROSS JOIN unnest(%s::timestamptz[]) AS m (at) GROUP BY z.timezone",
            [instants],
        )
        told = dict(db.fetchall())
        db.execute("SELECT DISTINCT timezone FROM tenants_tenant ORDER BY 1")
        known = [zone for (zone,) in db.fetchall()]
    found = differing(told, zones=known, instants=instants)
    if found:
        _logger.warning("zones that Python and PostgreSQL know otherwise: %s", ", ".join(found))
    return found


def differing(
    told: Mapping[str, Sequence[str]], *, zones: Sequence[str], instants: Sequence[datetime]
) -> list[str]:
    """Those of `zones` of which `told`, the local time at each instant, is not what Python says, or that
    it does not know."""
    return [
        zone
        for zone in zones
        if list(told.get(zone, ()))
        != [f"{each.astimezone(ZoneInfo(zone)).replace(tzinfo=None)}" for each in instants]
    ]
