"""What one person asks for and another decides: one mechanism for corrections, months and documents.

A room that lets people ask keeps a table of `Asked` rows with the constraints of
`two_people_constraints` and the trigger `tenants_guard_request` (migration ``0005``; metering has one of its
own, since its tables can be distributed): what was asked never changes, is decided once, and never done
by who asked for it.
"""

from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from django.db import models
from django.db.models import F, Q, QuerySet

from kernel.errors import Conflict, Forbidden, NotFound

GOOD_FOR: Final = timedelta(hours=72)
"""So long a request can be approved."""

WAITING: Final = "waiting"


class Asked(models.Model):
    """That somebody asked for something, and who decided what became of it. People are named as the
    audit trail names them: ``user:7``."""

    requested_by = models.CharField(max_length=254)
    requested_at = models.DateTimeField()
    state = models.CharField(max_length=16, default=WAITING)
    decided_by = models.CharField(max_length=254, blank=True)
    decided_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True


AnyAsked = TypeVar("AnyAsked", bound=Asked)


def two_people_constraints(*, prefix: str, done: str) -> list[models.CheckConstraint]:
    """That a decision has its person and instant, and that the state `done` is not reached by the one
    who asked."""
    return [
        models.CheckConstraint(
            condition=Q(state="waiting", decided_at__isnull=True, decided_by="")
            | (~Q(state="waiting") & Q(decided_at__isnull=False) & ~Q(decided_by="")),
            name=f"{prefix}_decided",
        ),
        models.CheckConstraint(
            condition=~Q(state=done) | ~Q(decided_by=F("requested_by")),
            name=f"{prefix}_two_people",
        ),
    ]


def lock_waiting(rows: QuerySet[AnyAsked], *, missing: NotFound) -> AnyAsked:
    """The one row of `rows`, held until the transaction ends, so that it is decided once.

    Raises `missing` where there is none, Conflict `already_decided`.
    """
    row = rows.select_for_update(of=("self",)).first()
    if row is None:
        raise missing
    if row.state != WAITING:
        raise Conflict("already_decided", f"It was decided already: {row.state}.")
    return row


def is_too_old(row: Asked, *, now: datetime) -> bool:
    """Whether the request can't be approved any more for its age."""
    return now - row.requested_at > GOOD_FOR


def refuse_unless_second(row: Asked, *, now: datetime, actor: str) -> None:
    """Raises Forbidden `same_person` for who asked, Conflict `request_expired` for what is too old."""
    if row.requested_by == actor:
        raise Forbidden("same_person", "Who asked for it can't approve it; ask somebody else.")
    if is_too_old(row, now=now):
        raise Conflict("request_expired", "The request is older than 72 hours; ask for it anew.")


def decide(row: Asked, *, state: str, now: datetime, actor: str, **told: Any) -> None:
    """Write the decision; `told` are further columns that come with it."""
    found: QuerySet[Asked] = type(row)._default_manager.filter(pk=row.pk)
    found.update(state=state, decided_by=actor, decided_at=now, **told)
