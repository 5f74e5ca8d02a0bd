"""What the tenants' programs send, and when it arrives. Pure.

Most events arrive on time, that is before their local day is closed. A few are held back by devices
that were offline, some are sent twice, and the programs of untidy tenants send some that are refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache
from heapq import heappop, heappush
from itertools import accumulate
from math import exp
from random import Random
from typing import Any, Final

from config.demo.draws import draws
from config.demo.world import DemoTenant, DemoWorld
from kernel.period import local_day, local_midnight
from metering.ingest.domain.events import UsageEvent
from metering.meters.domain import MESSAGE_SENT, USER_ACTIVE

_LATE: Final = 0.003
_VERY_LATE: Final = 0.0003
_REPEATED: Final = 0.003
_SECOND_KIND: Final = 0.1
_TALK_SIGMA: Final = 1.5
_MOST_MESSAGES: Final = 50_000
_UNTIDY_DAY: Final = 0.07
_ONE_DAY: Final = timedelta(days=1)
_AN_HOUR: Final = 3600


@dataclass(slots=True, kw_only=True)
class Arrivals:
    """What came in since the last time. `refused` holds CloudEvents that cannot be taken."""

    events: list[UsageEvent] = field(default_factory=list)
    refused: list[tuple[DemoTenant, list[dict[str, Any]]]] = field(default_factory=list)


class Traffic:
    """All events of the world in the order of their arrival; goes forward only."""

    def __init__(self, world: DemoWorld) -> None:
        self._world = world
        self._next_day = {each.key: each.starts_on for each in world.tenants}
        self._late: list[tuple[datetime, int, UsageEvent]] = []
        self._held_back = 0

    def until(self, at: datetime) -> Arrivals:
        """What arrives up to `at`: whole local days that are over, and what was held back."""
        arrivals = Arrivals()
        for tenant in self._world.tenants:
            today = local_day(at, tenant.zone)
            day = self._next_day[tenant.key]
            while day < today:
                self._take(tenant, day, at=at, arrivals=arrivals)
                day += _ONE_DAY
            self._next_day[tenant.key] = day
        while self._late and self._late[0][0] <= at:
            arrivals.events.append(heappop(self._late)[2])
        return arrivals

    def last(self, at: datetime) -> Arrivals:
        """What arrives up to `at`, with the hours of the day that is not over; ends the world."""
        arrivals = self.until(at)
        for tenant in self._world.tenants:
            day = self._next_day[tenant.key]
            if day <= local_day(at, tenant.zone):
                so_far = Arrivals()
                self._take(tenant, day, at=at, arrivals=so_far)
                arrivals.events += [event for event in so_far.events if event.time <= at]
                self._next_day[tenant.key] = day + _ONE_DAY
        return arrivals

    def _take(self, tenant: DemoTenant, day: date, *, at: datetime, arrivals: Arrivals) -> None:
        random = draws(self._world.seed, "day", tenant.key, day)
        on_time: list[UsageEvent] = []
        for event in _events(tenant, day, random):
            luck = random.random()
            if luck < _LATE + _VERY_LATE:
                hours = random.uniform(200, 480) if luck < _VERY_LATE else random.uniform(26, 80)
                self._held_back += 1
                arrives_at = event.time + timedelta(hours=hours)
                heappush(self._late, (arrives_at, self._held_back, event))
                continue
            on_time.append(event)
            if luck > 1 - _REPEATED:
                on_time.append(event)
        arrivals.events += on_time
        if tenant.is_untidy and on_time and random.random() < _UNTIDY_DAY:
            mishaps = [
                _mishap(random, random.choice(on_time), at=at)
                for _ in range(random.randrange(1, 5))
            ]
            arrivals.refused.append((tenant, mishaps))


def _events(tenant: DemoTenant, day: date, random: Random) -> Iterator[UsageEvent]:
    """One event a user and app, for some users a second of another kind.

    The number of a user's messages is log-normal; who comes out at none was there and said nothing.
    """
    users = tenant.users_on(day)
    if not users:
        return
    starts_at = local_midnight(day, tenant.zone)
    seconds = int((local_midnight(day + _ONE_DAY, tenant.zone) - starts_at).total_seconds())
    hours = _cumulated(tenant.kind.hours)
    kinds = [kind for kind, _ in tenant.kind.kinds]
    weights = tuple(accumulate(weight for _, weight in tenant.kind.kinds))
    draw, gauss = random.random, random.gauss
    stamp = f"{day:%Y%m%d}"
    mean = tenant.messages * exp(-(_TALK_SIGMA**2) / 2)
    for place, app in enumerate(tenant.apps):
        active = int(users * app.share + draw())
        if not active:
            continue
        known = max(active, int(tenant.mean_users * app.share / tenant.kind.stickiness) + 1)
        source = f"sdk/{app.key}"
        for number, user, hour, kind in zip(
            range(active),
            random.sample(range(known), active),
            random.choices(range(24), cum_weights=hours, k=active),
            random.choices(kinds, cum_weights=weights, k=active),
            strict=True,
        ):
            offset = min(int((hour + draw()) * _AN_HOUR), seconds - 1)
            count = min(_MOST_MESSAGES, round(mean * exp(gauss(0, _TALK_SIGMA))))
            yield UsageEvent(
                source=source,
                id=f"{stamp}-{place}-{number}",
                type=MESSAGE_SENT if count else USER_ACTIVE,
                subject=app.key,
                time=starts_at + timedelta(seconds=offset),
                user=f"u{user}",
                kind=kind if count else "",
                count=count or 1,
            )
            if count > 1 and draw() < _SECOND_KIND:
                yield UsageEvent(
                    source=source,
                    id=f"{stamp}-{place}-{number}b",
                    type=MESSAGE_SENT,
                    subject=app.key,
                    time=starts_at + timedelta(seconds=random.randrange(offset, seconds)),
                    user=f"u{user}",
                    kind=kinds[-1] if kind != kinds[-1] else kinds[0],
                    count=random.randrange(1, count),
                )


@lru_cache(maxsize=16)
def _cumulated(hours: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(accumulate(hours))


def _mishap(random: Random, event: UsageEvent, *, at: datetime) -> dict[str, Any]:
    """An event as it should not be sent, made of one that was."""
    sent: dict[str, Any] = {
        "specversion": "1.0",
        "id": f"{event.id}-{random.randrange(10**6)}",
        "source": event.source,
        "type": event.type,
        "subject": event.subject,
        "time": event.time.isoformat(),
        "data": {"user": event.user, "kind": event.kind, "count": event.count},
    }
    match random.randrange(7):
        case 0:
            sent["subject"] = f"{event.subject}-test"
        case 1:
            sent["time"] = f"{event.time:%Y-%m-%d %H:%M}"
        case 2:
            sent["time"] = (event.time - timedelta(days=40)).isoformat()
        case 3:
            sent["time"] = (at + timedelta(hours=8)).isoformat()
        case 4:
            # Another content under an id that is known.
            sent["id"] = event.id
            sent["data"]["count"] = event.count + 7
        case 5:
            del sent["data"]["user"]
        case _:
            sent["type"] = "message.received"
    return sent
