"""How many users each tenant has on a day, by two profiles. Pure.

- ``log-normal``: sigma 2.563 and mu 2.419 (natural logarithm), which puts 90 % of all users into a tenth of
  the tenants; 17 % of them have less than one user.
- ``zipf``: rank-size with exponent 1: the largest tenant has twice as many users as the second.

Both are scaled so that all tenants together have the wanted number of users. Tenants are numbered by
rank, the largest first, and what one has depends on nothing but seed, profile, sizes and rank.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from math import exp, fsum, sqrt
from statistics import NormalDist
from typing import Final

from config.demo.draws import draws

_SIGMA: Final = 2.563
_MU: Final = 2.419
_NORMAL: Final = NormalDist()
_NOISE_KEPT: Final = 0.7
_NOISE_SIGMA: Final = 0.06


class Profile(StrEnum):
    """The shape of the sizes."""

    LOG_NORMAL = "log-normal"
    ZIPF = "zipf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is made: `users` are the daily active users of all tenants together."""

    seed: int
    profile: Profile
    tenants: int
    users: int
    from_day: date
    days: int

    def day(self, number: int) -> date:
        return self.from_day + timedelta(days=number)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadTenant:
    """A tenant with one app of the same key; `users` has its daily active users, day by day."""

    rank: int
    key: str
    users: tuple[int, ...]


def tenants_of(load: Load) -> Iterator[LoadTenant]:
    """All tenants, the largest first; those that have no user on any day are left out."""
    scale = load.users / fsum(_size(load, rank) for rank in range(1, load.tenants + 1))
    width = len(str(load.tenants))
    for rank in range(1, load.tenants + 1):
        users = _days(load, rank, mean=_size(load, rank) * scale)
        if any(users):
            yield LoadTenant(rank=rank, key=f"load-{rank:0{width}}", users=users)


def _size(load: Load, rank: int) -> float:
    if load.profile is Profile.ZIPF:
        return 1 / rank
    # Stratified quantiles instead of draws, so that the sum is stable; the largest comes first.
    return exp(_MU + _SIGMA * _NORMAL.inv_cdf((load.tenants - rank + 0.5) / load.tenants))


def _days(load: Load, rank: int, *, mean: float) -> tuple[int, ...]:
    """The days' users: the mean with noise that lasts for some days, rounded by a draw."""
    random = draws(load.seed, "days", rank)
    noise = 0.0
    users = []
    for number in range(load.days):
        if number:
            step = _NORMAL.inv_cdf(_inside(random.random()))
            noise = _NOISE_KEPT * noise + _NOISE_SIGMA * sqrt(1 - _NOISE_KEPT**2) * step
        wanted = mean * exp(noise)
        users.append(int(wanted) + (random.random() < wanted - int(wanted)))
    return tuple(users)


def _inside(share: float) -> float:
    """A share that the normal distribution has a quantile of."""
    return min(max(share, 1e-12), 1 - 1e-12)


def log_normal(share: float, *, median: float, sigma: float) -> float:
    """The quantile of a log-normal distribution."""
    return median * exp(sigma * _NORMAL.inv_cdf(_inside(share)))
