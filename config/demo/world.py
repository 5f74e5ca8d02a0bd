"""Who the demo's tenants are, and how many users each has on each day. Pure.

Sizes are log-normal by stratified quantiles, so that the whole comes out the same however many tenants
there are, and are scaled to a number of user-days that can be taken in within the time that a first
start may last. A real operator's spread (sigma 2.56, the tenth of the tenants with the most users having
nine tenths of them) would leave half of the tenants of so small a world without a user; it is narrowed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from random import Random
from statistics import NormalDist
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

from billing.subscriptions.domain import Anchor
from config.demo.classes import CLASSES, TenantClass
from config.demo.draws import draws
from config.demo.names import Namer, Organisation
from kernel.errors import Invalid

USER_DAYS: Final = 135
"""User-days a tenant and month, on average over all."""

MOST_TENANTS: Final = 3000
MOST_MONTHS: Final = 24

_SIGMA: Final = 1.5
_MESSAGES_MEDIAN: Final = 15.0
_MESSAGES_SIGMA: Final = 1.0
_NOISE_MEMORY: Final = 0.7
_NOISE_SIGMA: Final = 0.06
_SPIKE_CHANCE: Final = 0.01
_SPIKE_MEAN: Final = 1.2
_DAYS_A_MONTH: Final = 30.4
_ONE_DAY: Final = timedelta(days=1)

_ZONES: Final = (
    ("CN", "Asia/Shanghai", 72),
    ("US", "America/New_York", 11),
    ("DE", "Europe/Berlin", 9),
    ("IN", "Asia/Kolkata", 8),
)


FREE: Final = "free"
STARTER: Final = "starter"
PRO: Final = "pro"
METERED: Final = "metered"
GLOBAL: Final = "global"

_PAYS_PRO: Final = 32.0
_PAYS_ABROAD: Final = 2.5
_ANNIVERSARIES: Final = 0.3
_UNTIDY: Final = 0.08
_MOST_MESSAGES: Final = 200.0
_APP_SHARES: Final = ((1.0,), (0.72, 0.28), (0.6, 0.28, 0.12))

Card = TypeVar("Card")


class Habit(StrEnum):
    """How a tenant pays."""

    PROMPT = "prompt"
    LATE = "late"
    UNRELIABLE = "unreliable"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoApp:
    """`share` of the tenant's users; an app's users are counted by themselves."""

    key: str
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoTenant:
    """A tenant of the demo. `users` holds its daily active users from `starts_on` on."""

    key: str
    name: str
    language: str
    country: str
    address: str
    tax_id: str
    billing_email: str
    zone: ZoneInfo
    kind: TenantClass
    apps: tuple[DemoApp, ...]
    created_at: datetime
    starts_on: date
    anchor: Anchor
    plan: str
    habit: Habit
    is_untidy: bool
    """Whether its programs send events that are refused."""
    messages: float
    """Messages a user and day, on average."""
    users: tuple[int, ...]

    def users_on(self, day: date) -> int:
        """Daily active users of a local day; 0 before it came and after the world's last day."""
        place = (day - self.starts_on).days
        return self.users[place] if 0 <= place < len(self.users) else 0

    @property
    def mean_users(self) -> float:
        return sum(self.users) / len(self.users)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoWorld:
    """`first_on` is the first day of usage, `until` the last; `repriced_on` that of the new prices."""

    seed: int
    months: int
    first_on: date
    until: date
    repriced_on: date
    tenants: tuple[DemoTenant, ...]


def demo_world(*, seed: int, tenants: int, months: int, until: date) -> DemoWorld:
    """The world of that seed whose last day is `until`; its history begins on the first of a month.

    Raises Invalid `demo_size_out_of_range`.
    """
    _check_range("tenants", tenants, highest=MOST_TENANTS)
    _check_range("months", months, highest=MOST_MONTHS)
    first_on = _months_before(until.replace(day=1), months)
    sizes = _sizes(seed=seed, count=tenants)
    sketches = _sketches(seed=seed, count=tenants, first_on=first_on, until=until)
    curves = [
        _curve(each, size=size, seed=seed, until=until)
        for each, size in zip(sketches, sizes, strict=True)
    ]
    days = (until - first_on).days + 1
    scale = USER_DAYS * tenants * days / _DAYS_A_MONTH / sum(map(sum, curves))
    return DemoWorld(
        seed=seed,
        months=months,
        first_on=first_on,
        until=until,
        repriced_on=_months_before(until.replace(day=1), months // 2),
        tenants=tuple(
            _tenant(
                sketch,
                organisation,
                curve=[value * scale for value in curve],
                first_on=first_on,
                until=until,
                seed=seed,
            )
            for sketch, organisation, curve in zip(
                sketches, _organisations(sketches, seed=seed), curves, strict=True
            )
        ),
    )


def _check_range(name: str, value: int, *, highest: int) -> None:
    if not 1 <= value <= highest:
        raise Invalid(
            "demo_size_out_of_range", f"{name} is {value}; choose 1 to {highest}.", field=name
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sketch:
    """What is drawn of a tenant before its size is known."""

    index: int
    kind: TenantClass
    country: str
    zone: ZoneInfo
    starts_on: date
    growth: float
    """By a month, as a natural logarithm."""
    launch_on: date | None
    """When it became known overnight, for those that did."""
    gone_on: date | None
    """When its users left, for those whose did."""


def _sizes(*, seed: int, count: int) -> list[float]:
    normal = NormalDist()
    sizes = [math.exp(_SIGMA * normal.inv_cdf((i + 0.5) / count)) for i in range(count)]
    draws(seed, "sizes").shuffle(sizes)
    return sizes


def _sketches(*, seed: int, count: int, first_on: date, until: date) -> list[_Sketch]:
    kinds = _dealt([(kind, kind.share) for kind in CLASSES], count=count, seed=seed, name="kinds")
    zones = _dealt(
        [((country, zone), share) for country, zone, share in _ZONES],
        count=count,
        seed=seed,
        name="zones",
    )
    days = (until - first_on).days
    found = []
    for index in range(count):
        random = draws(seed, "sketch", index)
        country, zone = zones[index]
        # Those who were customers before the history begins, and those who came since.
        came = 0 if random.random() < 0.56 else random.randrange(1, max(2, days - 6))
        launch = gone = None
        fate = random.random()
        if index % 97 == 41 and days > 60:
            launch, came = until - timedelta(days=random.randrange(25, 50)), min(came, days // 2)
        elif fate < 0.05 and days > 40:
            gone = first_on + timedelta(days=random.randrange(days // 3, days - 5))
            came = min(came, days // 4)
        found.append(
            _Sketch(
                index=index,
                kind=kinds[index],
                country=country,
                zone=ZoneInfo(zone),
                starts_on=_start(first_on, came),
                growth=min(0.35, max(-0.2, random.gauss(0.06, 0.09))),
                launch_on=launch,
                gone_on=gone,
            )
        )
    return found


def _start(first_on: date, came: int) -> date:
    """Who is there from the beginning starts with it, the others on a Monday or Thursday."""
    day = first_on + timedelta(days=came)
    while came and day.weekday() not in {0, 3}:
        day += _ONE_DAY
    return day


def _dealt(cards: Sequence[tuple[Card, int]], *, count: int, seed: int, name: str) -> list[Card]:
    """`count` cards in the given proportions, shuffled."""
    total = sum(share for _, share in cards)
    dealt: list[Card] = []
    reached = 0
    for card, share in cards:
        reached += share
        dealt += [card] * (round(count * reached / total) - len(dealt))
    draws(seed, name).shuffle(dealt)
    return dealt


def _curve(sketch: _Sketch, *, size: float, seed: int, until: date) -> list[float]:
    """The daily users of a tenant, unscaled."""
    random = draws(seed, "curve", sketch.index)
    noise = 0.0
    curve = []
    day = sketch.starts_on
    while day <= until:
        noise = _NOISE_MEMORY * noise + random.gauss(0, _NOISE_SIGMA)
        age = (day - sketch.starts_on).days
        value = size * math.exp(noise + sketch.growth * age / _DAYS_A_MONTH)
        value *= sketch.kind.week[day.weekday()]
        if random.random() < _SPIKE_CHANCE:
            value *= 1 + random.expovariate(1 / _SPIKE_MEAN)
        if sketch.launch_on is not None:
            value = _launched(value, since=(day - sketch.launch_on).days, size=size)
        if sketch.gone_on is not None and day >= sketch.gone_on:
            value *= math.exp(-0.5 * (day - sketch.gone_on).days)
        curve.append(value)
        day += _ONE_DAY
    return curve


def _launched(value: float, *, since: int, size: float) -> float:
    """Known to few, then within five days to everybody, then to those who stay."""
    fame = 40.0 * math.exp(-max(0, since - 5) / 45)
    rise = min(1.0, max(0.0, (since + 1) / 6))
    return value / size * (0.4 + fame * rise**2)


def _organisations(sketches: Sequence[_Sketch], *, seed: int) -> list[Organisation]:
    """A third of all have Chinese names, that is nearly half of those in China."""
    namer = Namer()
    share = 1 / 3 / max(1 / 3, sum(each.country == "CN" for each in sketches) / len(sketches))
    named = []
    for each in sketches:
        random = draws(seed, "name", each.index)
        is_chinese = each.country == "CN" and random.random() < share
        named.append(
            namer.name(
                random,
                kind=each.kind,
                country=each.country,
                is_chinese=is_chinese,
                is_long=random.random() < 0.04,
            )
        )
    return named


def _tenant(
    sketch: _Sketch,
    organisation: Organisation,
    *,
    curve: Sequence[float],
    first_on: date,
    until: date,
    seed: int,
) -> DemoTenant:
    random = draws(seed, "tenant", sketch.index)
    mean = sum(curve) / len(curve)
    messages = sketch.kind.talk * _MESSAGES_MEDIAN * math.exp(random.gauss(0, _MESSAGES_SIGMA))
    plan = _plan(random, sketch, mean=mean)
    starts_on, anchor = sketch.starts_on, Anchor.CALENDAR
    if plan != FREE and sketch.country == "CN" and random.random() < _ANNIVERSARIES:
        moved = _on_anniversary(random, starts_on, until=until)
        if moved < until - 2 * _ONE_DAY:
            starts_on, anchor = moved, Anchor.ANNIVERSARY
    users = [int(value + random.random()) for value in curve]
    return DemoTenant(
        key=organisation.key,
        name=organisation.name,
        language=organisation.language,
        country=sketch.country,
        address=organisation.address,
        tax_id=organisation.tax_id,
        billing_email=f"billing@{organisation.key}.example",
        zone=sketch.zone,
        kind=sketch.kind,
        apps=_apps(random, sketch, key=organisation.key),
        created_at=_created_at(
            random, sketch, is_first=sketch.starts_on == first_on, starts_on=starts_on
        ),
        starts_on=starts_on,
        anchor=anchor,
        plan=plan,
        habit=_habit(random, is_gone=sketch.gone_on is not None),
        is_untidy=random.random() < _UNTIDY,
        messages=min(_MOST_MESSAGES, messages),
        users=tuple(users[(starts_on - sketch.starts_on).days :]),
    )


def _plan(random: Random, sketch: _Sketch, *, mean: float) -> str:
    """Who comes from abroad pays in dollars; who is small often pays nothing."""
    if sketch.country != "CN":
        return GLOBAL if mean >= _PAYS_ABROAD else FREE
    if mean >= _PAYS_PRO:
        return PRO
    metered = 0.4 if sketch.kind.key in {"live", "devices", "social"} else 0.15
    free = 0.75 if mean < 1.2 else 0.3 if mean < 3 else 0.05
    drawn = random.random()
    if drawn < free:
        return FREE
    return METERED if drawn < free + (1 - free) * metered else STARTER


def _on_anniversary(random: Random, day: date, *, until: date) -> date:
    """The next of the few days of a month on which subscriptions with their own month begin.

    One of them is that of the last day: so some invoices are still drafts in their grace.
    """
    chosen = (min(28, until.day) + 9 * random.randrange(3) - 1) % 28 + 1
    while day.day != chosen:
        day += _ONE_DAY
    return day


def _apps(random: Random, sketch: _Sketch, *, key: str) -> tuple[DemoApp, ...]:
    shares = random.choices(_APP_SHARES, weights=(62, 26, 12))[0]
    return tuple(
        DemoApp(key=f"{key}-{name}", share=share)
        for name, share in zip(sketch.kind.app_names, shares, strict=False)
    )


def _created_at(random: Random, sketch: _Sketch, *, is_first: bool, starts_on: date) -> datetime:
    """In the office hours of the day before its subscription starts, or of a month before all."""
    day = (sketch.starts_on if is_first else starts_on) - _ONE_DAY
    if is_first:
        day -= timedelta(days=random.randrange(28))
    at = time(random.randrange(9, 18), random.randrange(60))
    return datetime.combine(day, at, tzinfo=sketch.zone).astimezone(UTC)


def _habit(random: Random, *, is_gone: bool) -> Habit:
    weights = (30, 20, 50) if is_gone else (80, 15, 5)
    return random.choices((Habit.PROMPT, Habit.LATE, Habit.UNRELIABLE), weights=weights)[0]


def _months_before(day: date, months: int) -> date:
    """The first of the month so many months before that of `day`."""
    count = day.year * 12 + day.month - 1 - months
    return date(count // 12, count % 12 + 1, 1)
