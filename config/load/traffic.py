"""What the tenants' users do: who is active when, and how much each says. Pure.

Events come tenant by tenant and day by day, so that memory does not grow with their number.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from config.demo.draws import draws
from config.load.profile import Load, LoadTenant, log_normal, tenants_of
from kernel.period import local_midnight

SOURCE: Final = "load"
REGISTERED_PER_ACTIVE: Final = 5
_TENANT_SIGMA: Final = 1.0
_USER_SIGMA: Final = 1.5
_MOST_MESSAGES: Final = 5_000
_HOURS: Final = (
    20, 12, 8, 6, 5, 7, 14, 26, 40, 49, 52, 53, 56, 52, 49, 50, 51, 52, 55, 62, 70, 74, 71, 66
)  # fmt: skip
"""Thousandths of a day's events in each local hour, of a Chinese day."""
_HOUR_ENDS: Final = tuple(accumulate(_HOURS))
_SECONDS_OF_HOUR: Final = 3600
_THOUSAND: Final = 1000


class LoadEvent(NamedTuple):
    """One message; `repeated` if it is sent a second time."""

    app: str
    id: str
    time: datetime
    user: str
    repeated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveDay:
    """Who was active in an app on a day, and how many messages they sent."""

    app: str
    starts_at: datetime
    users: tuple[str, ...]
    messages: int


def events_of(load: Load, *, zone: ZoneInfo, messages: int, repeats: int) -> Iterator[LoadEvent]:
    """Each message of each user. `messages` is the median of a user and day (1: exactly one each),
    `repeats` how many of a thousand are sent twice."""
    for tenant in tenants_of(load):
        for number, users in enumerate(tenant.users):
            yield from _events(
                load, tenant, number, users=users, zone=zone, messages=messages, repeats=repeats
            )


def active_days_of(
    load: Load, *, zone: ZoneInfo, messages: int, most_users: int
) -> Iterator[ActiveDay]:
    """The same as counts and users; a large app's day comes in parts of at most `most_users`."""
    for tenant in tenants_of(load):
        for number, users in enumerate(tenant.users):
            midnight = local_midnight(load.day(number), zone)
            talkative = _median(load, tenant, messages)
            random = draws(load.seed, "talk", tenant.rank, number)
            for start in range(0, users, most_users):
                part = range(start, min(start + most_users, users))
                yield ActiveDay(
                    app=tenant.key,
                    starts_at=midnight.astimezone(UTC) + timedelta(hours=12),
                    users=tuple(_user(tenant, number, place) for place in part),
                    messages=sum(
                        _said(random.random(), messages=messages, median=talkative) for _ in part
                    ),
                )


def _events(
    load: Load,
    tenant: LoadTenant,
    number: int,
    *,
    users: int,
    zone: ZoneInfo,
    messages: int,
    repeats: int,
) -> Iterator[LoadEvent]:
    day = load.day(number)
    midnight = local_midnight(day, zone).astimezone(UTC)
    length = local_midnight(load.day(number + 1), zone).astimezone(UTC) - midnight
    talkative = _median(load, tenant, messages)
    random = draws(load.seed, "talk", tenant.rank, number)
    when = draws(load.seed, "when", tenant.rank, number)
    for place in range(users):
        user = _user(tenant, number, place)
        said = _said(random.random(), messages=messages, median=talkative)
        for count in range(said):
            seconds = _second_of_day(when.random(), when.random())
            yield LoadEvent(
                app=tenant.key,
                id=f"{day:%Y%m%d}-{user}-{count}",
                # Days that change their offset are shorter or longer than their hours.
                time=midnight + min(timedelta(seconds=seconds), length - timedelta(seconds=1)),
                user=user,
                repeated=int(when.random() * _THOUSAND) < repeats,
            )


def _user(tenant: LoadTenant, number: int, place: int) -> str:
    """The registered user who is the `place`-th active one of the day; each day begins with others."""
    registered = REGISTERED_PER_ACTIVE * max(tenant.users)
    return f"u{(number * max(tenant.users) // 2 + place) % registered}"


def _median(load: Load, tenant: LoadTenant, messages: int) -> float:
    random = draws(load.seed, "talkative", tenant.rank)
    return log_normal(random.random(), median=messages, sigma=_TENANT_SIGMA)


def _said(share: float, *, messages: int, median: float) -> int:
    if messages == 1:
        return 1
    return min(max(1, int(log_normal(share, median=median, sigma=_USER_SIGMA))), _MOST_MESSAGES)


def _second_of_day(share: float, within: float) -> int:
    wanted = share * _HOUR_ENDS[-1]
    hour = bisect_right(_HOUR_ENDS, wanted)
    return hour * _SECONDS_OF_HOUR + int(within * _SECONDS_OF_HOUR)
