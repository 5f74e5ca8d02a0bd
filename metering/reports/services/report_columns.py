"""What a report tells of one app, as events: by the columns in which they are stored."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from kernel.dimensions import canonical_dimensions
from metering.ingest.queries import AppFacts
from metering.ingest.services.admit import Teller
from metering.ingest.services.store_events import Columns, Group
from metering.meters.domain import USER_ACTIVE
from metering.reports.domain import AppUsage, counts_of
from metering.reports.models import Gateway

_NULL: Final = "NULL"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPlace:
    """Which report it is, and when its window begins."""

    gateway: Gateway
    epoch: str
    sequence: int
    starts_at: datetime


def no_columns() -> Columns:
    """Columns to add to."""
    return Columns(
        groups=[], identities=[], digests=[], event_ids=[], times=[], users=[], counts=[]
    )


def add_usage(
    columns: Columns, usage: AppUsage, *, app: AppFacts, teller: Teller, place: ReportPlace
) -> int:
    """Add an app's counts and users to the columns; gives the number of users. Raises Invalid as
    `counts_of` does, and has added nothing then."""
    deployment = place.gateway.deployment
    counts = counts_of(usage, deployment=deployment)
    day, time = teller.day_of(place.starts_at), place.starts_at.isoformat()
    source = f"gateway:{place.gateway.key}"

    def group(event_type: str, dimensions: str) -> Group:
        return Group(
            tenant_id=teller.id_text,
            app_id=str(app.id),
            source=source,
            type=event_type,
            kind=dimensions,
            day=day,
        )

    for count in counts:
        columns.groups.append(group(count.type, count.dimensions))
        columns.event_ids.append(f"{place.epoch}/{place.sequence}/{count.name}")
        columns.users.append(_NULL)
        columns.counts.append(count.value)
    users = teller.hashes_of(list(dict.fromkeys(usage.active_users)))
    active = group(USER_ACTIVE, canonical_dimensions({"deployment": deployment}))
    columns.groups.extend([active] * len(users))
    columns.event_ids.extend([""] * len(users))
    columns.users.extend(users)
    columns.counts.extend([1] * len(users))
    columns.times.extend([time] * (len(counts) + len(users)))
    return len(users)
