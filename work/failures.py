"""What a failed run means: a code, a detail to show, and whether trying again can help."""

from dataclasses import dataclass
from datetime import datetime

from celery.exceptions import SoftTimeLimitExceeded
from django.db import DatabaseError, InterfaceError, OperationalError

from kernel.errors import DomainError, Forbidden, Invalid, NotFound

_DETAIL_CHARACTERS = 500


class LeaseLost(Exception):
    """This run is too late: its lease ended, another may have begun. It must not commit effects."""


class Postponed(Exception):
    """Raised by a task whose time has not come: run it again at `run_at`; the start counts not."""

    def __init__(self, *, run_at: datetime) -> None:
        super().__init__(f"postponed to {run_at.isoformat()}")
        self.run_at = run_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a run failed. A final one is parked at once, since the same input fails again."""

    code: str
    detail: str
    final: bool = False


RUNNER_LOST = Failure(
    code="runner_lost",
    detail="Every run ended without a word: its process was killed, or took longer than its lease.",
    final=True,
)


def unknown_kind(name: str) -> Failure:
    return Failure(code="unknown_kind", detail=f"This worker knows no {name!r}.", final=True)


def unknown_version(*, version: int, known: int) -> Failure:
    return Failure(
        code="unknown_version",
        detail=f"The payload has version {version}, this worker knows up to {known}.",
        final=True,
    )


AWAITS_NEWER_WORKER = ("unknown_kind", "unknown_version")
"""Codes of jobs that a worker of a newer version takes up by itself."""


def failure_of(error: Exception) -> Failure:
    """The failure that an exception from a task means."""
    if isinstance(error, DomainError):
        return Failure(
            code=error.code,
            detail=error.message[:_DETAIL_CHARACTERS],
            final=isinstance(error, Invalid | NotFound | Forbidden),
        )
    if isinstance(error, SoftTimeLimitExceeded):
        return Failure(code="time_limit", detail="The run took longer than a job may.")
    detail = f"{type(error).__name__}: {error}"[:_DETAIL_CHARACTERS]
    if isinstance(error, OperationalError | InterfaceError):
        return Failure(code="database_unavailable", detail=detail)
    if isinstance(error, DatabaseError):
        return Failure(code="database_error", detail=detail)
    return Failure(code="unexpected_error", detail=detail)
