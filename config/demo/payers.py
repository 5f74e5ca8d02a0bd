"""When a tenant pays an invoice, and how. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Final

from billing.payments.domain import Method
from config.demo.draws import draws
from config.demo.world import GLOBAL, PRO, DemoTenant, Habit
from kernel.allocation import allocate
from kernel.money import Money

_IN_PARTS: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Instalment:
    """Money on its way. `part` counts from 1."""

    part: int
    at: datetime
    amount: Money


def method_of(tenant: DemoTenant, *, seed: int) -> Method:
    """The large pay from their bank, of the others most by card."""
    by_card = 0.0 if tenant.plan == PRO else 0.7 if tenant.plan == GLOBAL else 0.45
    return (
        Method.CARD
        if draws(seed, "method", tenant.key).random() < by_card
        else Method.BANK_TRANSFER
    )


def instalments(
    tenant: DemoTenant, *, seed: int, boundary_at: datetime, issued_at: datetime, total: Money
) -> list[Instalment]:
    """How an invoice gets paid; empty when it never is. Invoices are due 15 days after issue."""
    random = draws(seed, "payment", tenant.key, boundary_at.isoformat())
    days = _days(random, tenant.habit)
    if days is None:
        return []
    first_at = issued_at + timedelta(days=days)
    if method_of(tenant, seed=seed) is Method.BANK_TRANSFER and random.random() < _IN_PARTS:
        first, rest = allocate(total, [random.randrange(2, 8), 3])
        later = first_at + timedelta(days=random.uniform(6, 25))
        return [
            Instalment(part=part, at=at, amount=amount)
            for part, (at, amount) in enumerate([(first_at, first), (later, rest)], start=1)
            if amount
        ]
    return [Instalment(part=1, at=first_at, amount=total)]


def _days(random: Random, habit: Habit) -> float | None:
    """Days from issue to payment; None for never."""
    luck = random.random()
    match habit:
        case Habit.PROMPT:
            return random.uniform(0.2, 11) if luck < 0.97 else random.uniform(16, 30)
        case Habit.LATE:
            return random.uniform(8, 15) if luck < 0.3 else random.uniform(16, 34)
        case Habit.UNRELIABLE:
            if luck < 0.45:
                return None
            return random.uniform(2, 14) if luck < 0.65 else random.uniform(20, 60)
