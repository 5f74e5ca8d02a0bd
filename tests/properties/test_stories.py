"""Whole stories of one subscription, billed by the product and by a small model of days and fractions.

The model knows nothing of drafts, documents, contracts or SQL: it walks day by day, and adds up what
each day's end and each change owe. Both must come to the same amounts on the same days.
"""

import calendar
import math
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.scenarios.stories import played

pytestmark = pytest.mark.usefixtures("db")

ZONES = (
    "Asia/Shanghai",
    "Europe/Berlin",
    "America/St_Johns",
    "Asia/Kolkata",
    "America/Santiago",
    "Africa/Cairo",
    "Pacific/Auckland",
)
DAY = timedelta(days=1)
Terms = dict[str, Any]


@dataclass(kw_only=True)
class Step:
    """At the beginning of `on`; usage is said the evening before."""

    on: date
    do: str
    plan: str = ""
    day: date = date.min
    value: int = 0


@dataclass(kw_only=True)
class Story:
    zone: str
    starts_on: date
    ends_on: date
    anchor: str
    interval: tuple[str, int]
    plans: dict[str, Terms]
    steps: list[Step]


# The model ----------------------------------------------------------------------------------------


def cents(amount: Fraction) -> int:
    """Half away from zero."""
    away = math.floor(abs(amount) * 100 + Fraction(1, 2))
    return away if amount >= 0 else -away


def months_on(first: date, months: int) -> date:
    """The same day of a later month, or its last where it has no such day."""
    years, months = divmod(first.month - 1 + months, 12)
    year, month = first.year + years, months + 1
    return date(year, month, min(first.day, calendar.monthrange(year, month)[1]))


def period_of(story: Story, day: date) -> tuple[date, date]:
    """First day of the full period of a day, and of the next one."""
    unit, count = story.interval
    anchor = story.starts_on
    if unit == "week":
        if story.anchor == "calendar":
            anchor -= timedelta(days=anchor.weekday())
        place = (day - anchor).days // 7
        return anchor + 7 * place * DAY, anchor + 7 * (place + 1) * DAY
    months = count * {"month": 1, "quarter": 3}[unit]
    if story.anchor == "calendar":
        anchor = date(anchor.year, (anchor.month - 1) // months * months + 1, 1)
    place = 0
    while months_on(anchor, months * (place + 1)) <= day:
        place += 1
    return months_on(anchor, months * place), months_on(anchor, months * (place + 1))


def quantity(price: Terms, values: Sequence[int]) -> Fraction:
    ascending = sorted(values)
    match price["period_aggregation"]:
        case "max_day":
            return Fraction(ascending[-1])
        case "sum_days":
            return Fraction(sum(values))
        case "mean_day":
            return Fraction(sum(values), len(values))
        case "kth_max_day":
            place = price["k"]
            return Fraction(ascending[-place] if place <= len(values) else 0)
        case _:
            return Fraction(ascending[max(1, math.ceil(Fraction(95, 100) * len(values))) - 1])


def charge(price: Terms, used: Fraction) -> Fraction:
    match price["model"]:
        case "per_unit":
            return used * Fraction(price["unit_price"])
        case "package":
            packages = used / Fraction(price["package_size"])
            whole = math.ceil(packages) if price["package_rounding"] == "up" else int(packages)
            return whole * Fraction(price["package_price"])
        case "volume":
            for tier in price["tiers"]:
                if tier["up_to"] is None or used <= Fraction(tier["up_to"]):
                    return used * Fraction(tier["unit_price"]) + Fraction(tier.get("flat_fee", 0))
        case _:
            owed, below = Fraction(0), Fraction(0)
            for place, tier in enumerate(price["tiers"]):
                bound = used if tier["up_to"] is None else min(used, Fraction(tier["up_to"]))
                if place == 0 or bound > below:
                    owed += (bound - below) * Fraction(tier["unit_price"])
                    owed += Fraction(tier.get("flat_fee", 0))
                below = max(below, bound)
            return owed
    raise AssertionError(price)


def usage_owed(price: Terms, values: Sequence[int], share: Fraction) -> int:
    """What the days of a part of a period owe: its terms are cut to the part only where it is prorated."""
    cut = share if price.get("prorate") else Fraction(1)
    used = quantity(price, values) - cut * Fraction(price.get("included", 0))
    exact = charge(price, max(used, Fraction(0)))
    if "minimum" in price:
        exact = max(exact, cut * Fraction(price["minimum"]))
    if "maximum" in price:
        exact = min(exact, cut * Fraction(price["maximum"]))
    return cents(exact)


@dataclass(kw_only=True)
class Model:
    story: Story
    owed: dict[date, int] = field(default_factory=lambda: defaultdict(int))
    used: dict[date, int] = field(default_factory=dict)
    phases: list[tuple[date, str]] = field(default_factory=list)
    billed: dict[tuple[date, date, str, int], int] = field(default_factory=dict)
    planned: str = ""
    leaves: bool = False
    ended: bool = False
    opened: tuple[date, date, date] | None = None

    def flat(self, key: str, plan: str, days: int, full: int) -> int:
        return sum(
            cents(Fraction(price["amount"]) * Fraction(days, full))
            for price in self.story.plans[plan]["prices"]
            if price["key"] == key
        )

    def usage(self, first: date, end: date, plan: str, full: int) -> int:
        days = (end - first).days
        values = [self.used.get(first + place * DAY, 0) for place in range(days)]
        return sum(
            usage_owed(price, values, Fraction(days, full))
            for price in self.story.plans[plan]["prices"]
            if "meter" in price
        )

    def arrears(self, first: date, end: date, full: int) -> int:
        """Each plan for the days on which it was held."""
        cuts = [first, *(day for day, _ in self.phases if first < day < end), end]
        owed = 0
        for starts_on, ends_on in pairwise(cuts):
            plan = [held for day, held in self.phases if day <= starts_on][-1]
            part = self.usage(starts_on, ends_on, plan, full)
            self.billed[starts_on, ends_on, plan, full] = part
            owed += part + self.flat("fee", plan, (ends_on - starts_on).days, full)
        return owed

    def late(self) -> int:
        """What usage that came late makes of the periods billed before."""
        difference = 0
        for part, before in self.billed.items():
            self.billed[part] = self.usage(*part)
            difference += self.billed[part] - before
        return difference

    def boundary(self, day: date) -> None:
        if self.opened is not None:
            served_from, *full = self.opened
            self.owed[day] += self.late()
            self.owed[day] += self.arrears(served_from, day, (full[1] - full[0]).days)
        if self.leaves:
            self.ended = True
            return
        if self.planned:
            self.phases.append((day, self.planned))
            self.planned = ""
        first, end = period_of(self.story, day)
        self.opened = (day, first, end)
        self.owed[day] += self.flat(
            "base", self.phases[-1][1], (end - day).days, (end - first).days
        )

    def change(self, day: date, plan: str) -> None:
        """Unused days back, the change day included, and the same days by the other plan."""
        assert self.opened is not None
        _, first, end = self.opened
        unused, full = (end - day).days, (end - first).days
        self.owed[day] -= self.flat("base", self.phases[-1][1], unused, full)
        self.owed[day] += self.flat("base", plan, unused, full)
        self.phases = [each for each in self.phases if each[0] < day] + [(day, plan)]
        self.planned = ""

    def cancel(self, day: date) -> None:
        assert self.opened is not None
        served_from, first, end = self.opened
        full = (end - first).days
        if day > served_from:
            self.owed[day] += self.late() + self.arrears(served_from, day, full)
        self.owed[day] -= self.flat("base", self.phases[-1][1], (end - day).days, full)
        self.ended = True

    def told(self) -> dict[date, int]:
        """What falls due on which day, in cents; days that come to nothing are left out."""
        steps = self.story.steps
        self.phases = [(self.story.starts_on, "a")]
        day = self.story.starts_on
        while day <= self.story.ends_on and not self.ended:
            for step in steps:
                if step.on == day and step.do == "usage":
                    self.used[step.day] = step.value
            if self.opened is None or day == self.opened[2]:
                self.boundary(day)
            for step in steps:
                if step.on == day and not self.ended:
                    match step.do:
                        case "change":
                            self.change(day, step.plan)
                        case "change later":
                            self.planned = step.plan
                        case "leave":
                            self.leaves, self.planned = True, ""
                        case "cancel":
                            self.cancel(day)
            day += DAY
        return {day: owed for day, owed in self.owed.items() if owed}


# Stories ------------------------------------------------------------------------------------------


def a_usage_price(pick: random.Random) -> Terms:
    model = pick.choice(["per_unit", "graduated", "volume", "package"])
    terms: Terms = {
        "key": "use",
        "meter": "dau",
        "scope": pick.choice(["app", "tenant"]),
        "model": model,
        "period_aggregation": pick.choice(
            ["max_day", "sum_days", "mean_day", "kth_max_day", "p95_day"]
        ),
    }
    if terms["period_aggregation"] == "kth_max_day":
        terms["k"] = pick.randint(1, 4)
    if model == "per_unit":
        terms["unit_price"] = pick.choice(["0.37", "1", "0.005", "2.125"])
    elif model == "package":
        terms |= {
            "package_size": pick.choice(["10", "100"]),
            "package_price": "7.77",
            "package_rounding": pick.choice(["up", "down"]),
        }
    else:
        terms["tiers"] = [
            {"up_to": "50", "unit_price": "1.10", "flat_fee": pick.choice(["0", "5"])},
            {"up_to": "120", "unit_price": "0.75", "flat_fee": pick.choice(["0", "3"])},
            {"up_to": None, "unit_price": "0.333"},
        ]
    if pick.random() < 0.4:
        terms["included"] = pick.choice(["10", "33", "100"])
    if pick.random() < 0.3:
        terms["prorate"] = True
    bound = pick.random()
    if bound < 0.25:
        terms["minimum"] = pick.choice(["20", "55.55"])
    elif bound < 0.45:
        terms["maximum"] = pick.choice(["15", "44.44"])
    return terms


def a_plan(key: str, interval: tuple[str, int], pick: random.Random) -> Terms:
    flat = {"model": "flat", "prorate": True}
    prices: list[Terms] = []
    if pick.random() < 0.8:
        amount = pick.choice(["310", "99.99", "1299", "0.07"])
        prices.append({**flat, "key": "base", "amount": amount, "timing": "in_advance"})
    if pick.random() < 0.4:
        amount = pick.choice(["62", "17.77"])
        prices.append({**flat, "key": "fee", "amount": amount, "timing": "in_arrears"})
    if pick.random() < 0.85 or not prices:
        prices.append(a_usage_price(pick))
    return {
        "key": key,
        "name": {"en": key},
        "currency": "CNY",
        "interval": interval[0],
        "interval_count": interval[1],
        "prices": prices,
    }


def changes_of(story: Story, pick: random.Random) -> Iterator[Step]:
    """Up to four changes on different days, the last of which may end it."""
    length = (story.ends_on - story.starts_on).days
    held, planned, planned_on = "a", "", date.max
    for place in sorted(pick.sample(range(1, length - 1), pick.randint(0, 4))):
        day = story.starts_on + place * DAY
        if planned and period_of(story, day)[0] >= planned_on:
            held, planned = planned, ""
        do = pick.choices(["change", "change later", "leave", "cancel"], [5, 3, 1, 1])[0]
        if do in {"leave", "cancel"}:
            yield Step(on=day, do=do)
            return
        plan = pick.choice([each for each in "abc" if each != held])
        yield Step(on=day, do=do, plan=plan)
        if do == "change":
            held, planned = plan, ""
        else:
            planned, planned_on = plan, period_of(story, day)[1]


def a_story(seed: int) -> Story:
    pick = random.Random(seed)
    interval = pick.choice([("month", 1)] * 5 + [("quarter", 1), ("week", 1), ("month", 2)])
    starts_on = date(2026, 1, 1) + pick.randint(0, 70) * DAY
    story = Story(
        zone=pick.choice(ZONES),
        starts_on=starts_on,
        ends_on=starts_on + pick.randint(40, 200) * DAY,
        anchor="anniversary" if interval[1] == 2 else pick.choice(["calendar", "anniversary"]),
        interval=interval,
        plans={key: a_plan(key, interval, pick) for key in "abc"},
        steps=[],
    )
    story.steps = list(changes_of(story, pick))
    served_to = story.ends_on
    for step in story.steps:
        if step.do == "cancel":
            served_to = step.on
        elif step.do == "leave":
            served_to = min(served_to, period_of(story, step.on)[1])
    for _ in range(pick.randint(0, 14)):
        day = starts_on + pick.randint(0, (story.ends_on - starts_on).days - 2) * DAY
        known_on = day + pick.choice([1, 1, 1, 1, 3, 20, 33]) * DAY
        if day < served_to and known_on <= served_to and known_on < story.ends_on:
            value = pick.choice([0, 1, 7, 49, 50, 51, 100, 119, 121, 500])
            story.steps.append(Step(on=known_on, do="usage", day=day, value=value))
    return story


def at(day: date, zone: str, hour: int = 0) -> str:
    """An hour of a day; its beginning where midnight is skipped."""
    local = datetime(day.year, day.month, day.day, hour, tzinfo=ZoneInfo(zone))
    return local.astimezone(ZoneInfo("UTC")).isoformat()


def written(story: Story) -> dict[str, Any]:
    """The story in the words of the command."""
    zone, tenant = story.zone, {"tenant": "acme"}
    begun = at(story.starts_on, zone)
    steps: list[Mapping[str, Any]] = [
        {"at": begun, "do": "create_tenant", **tenant, "apps": ["chat"], "timezone": zone},
        {"at": begun, "do": "subscribe", **tenant, "plan": "a", "anchor": story.anchor},
    ]
    words: dict[str, Mapping[str, Any]] = {
        "change": {"do": "change_plan", "when": "now"},
        "change later": {"do": "change_plan", "when": "period_end"},
        "leave": {"do": "cancel", "when": "period_end"},
        "cancel": {"do": "cancel", "when": "now"},
    }
    for step in sorted(story.steps, key=lambda each: (each.on, each.do != "usage")):
        if step.do == "usage":
            what = {"day": step.day.isoformat(), "value": str(step.value)}
            told = {"do": "usage", "app": "chat", "meter": "dau", **what}
            steps.append({"at": at(step.on - DAY, zone, 20), **told})
        else:
            plan = {"plan": step.plan} if step.plan else {}
            steps.append({"at": at(step.on, zone), **words[step.do], **tenant, **plan})
    return {
        "name": "generated",
        "currency": "CNY",
        "timezone": zone,
        "grace": "PT0S",
        "plans": list(story.plans.values()),
        "steps": [*steps, {"do": "advance", "to": at(story.ends_on, zone, 13)}],
    }


def billed(story: Story, folder: Path) -> dict[date, int]:
    """What the product's documents come to by the local day of their issue, in cents."""
    result = played(written(story), folder)
    found: dict[date, int] = defaultdict(int)
    for sign, documents in ((1, result["invoices"]), (-1, result["credit_notes"])):
        for document in documents:
            issued = datetime.fromisoformat(document["issued_at"])
            day = issued.astimezone(ZoneInfo(story.zone)).date()
            found[day] += sign * cents(Fraction(document["total"]))
    return {day: owed for day, owed in found.items() if owed}


@pytest.mark.parametrize("seed", range(24))
def test_a_story_comes_to_what_the_model_says(seed: int, tmp_path: Path) -> None:
    story = a_story(seed)
    assert billed(story, tmp_path) == Model(story=story).told()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_thousand_stories_come_to_what_the_model_says(tmp_path: Path) -> None:
    for seed in range(1000, 2000):
        story = a_story(seed)
        assert billed(story, tmp_path) == Model(story=story).told(), seed
