"""Post what was earned day by day of what was billed ahead."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from uuid import UUID

from billing.ledger.domain import recognition_postings
from billing.ledger.recognition import RECOGNITION, due_recognitions, last_recognized_day
from billing.ledger.services.post_transactions import NewTransaction, post_transactions
from kernel.errors import Invalid
from tenants.scope import system_scope
from work.connections import cursor

_TENANTS_AT_A_TIME: Final = 2_000
_MOST_DAYS: Final = 62
"""Days that were missed are posted one by one up to two months back; what is older comes in one."""
_FIRST_ZONE: Final = timedelta(hours=14)
"""So far ahead of UTC a day ends where it ends first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognized:
    """`days` that were gone through, and how many transactions were posted."""

    days: int
    transactions: int


def recognize_revenue(*, through: date, now: datetime) -> Recognized:
    """Post what was earned up to the end of the day `through`, each day since the last one by itself;
    opens its own scopes, one for some thousand tenants.

    What is posted is the difference to what was posted before, so it can be run at any time, also after
    a document for days that are over: run again it finds nothing. Never goes back before a day that was
    recognised already. Raises Invalid `day_not_over` for a day that is not over anywhere: what is earned
    too early can't be taken back.
    """
    if through >= (now.astimezone(UTC) + _FIRST_ZONE).date():
        raise Invalid(
            "day_not_over",
            f"{through} is not over yet; name a day that was served.",
            field="through",
        )
    with system_scope(purpose="days to recognise", actor="recognize_revenue"):
        last = last_recognized_day()
    days = list(_days(last=last, through=through))
    return Recognized(days=len(days), transactions=sum(_recognize(day, now=now) for day in days))


def _days(*, last: date | None, through: date) -> Iterator[date]:
    """The last recognised day once more, for what was issued since, then each later one."""
    first = through - timedelta(days=_MOST_DAYS)
    if last is not None:
        first = max(first, last)
        if last > through:
            return
    day = first
    while day <= through:
        yield day
        day += timedelta(days=1)


def _recognize(day: date, *, now: datetime) -> int:
    posted, after = 0, None
    while True:
        with system_scope(purpose=f"recognise revenue of {day}", actor="recognize_revenue"):
            # Two at once would post the same difference twice: the second one waits and finds nothing,
            # and leaves a day alone after which the other one has gone on.
            with cursor() as db:
                db.execute("SELECT pg_advisory_xact_lock(hashtextextended('recognition', 0))")
            last = last_recognized_day()
            if last is not None and last > day:
                return posted
            due = due_recognitions(day=day, limit=_TENANTS_AT_A_TIME, after=after)
            if not due:
                return posted
            post_transactions(
                transactions=[
                    NewTransaction(
                        tenant_id=each.tenant_id,
                        kind=RECOGNITION,
                        reference=f"{day.isoformat()}:{each.earned.currency}:{each.postings + 1}",
                        description=f"Revenue earned by the end of {day.isoformat()}",
                        postings=recognition_postings(earned=each.earned),
                    )
                    for each in due
                ],
                # Revenue is of the day on which it was earned, whenever that is found out.
                now=min(now, datetime.combine(day, time.max, tzinfo=UTC)),
            )
        posted += len(due)
        after = UUID(str(due[-1].tenant_id))
