"""Schedules: which slots have come, each opened once, whoever and how many look.

Celery's beat only ticks. What is due is computed here from dates alone, so it does not matter
whether a scheduler was stopped for a month or runs twice.
"""

from datetime import UTC, datetime
from uuid import UUID

from django.db import connections, transaction

from kernel.ids import new_id
from work import registry
from work.connections import JOBS
from work.domain import due_slots
from work.enqueueing import JobRequest, insert_requests
from work.registry import Schedule


def open_due_slots(*, now: datetime) -> int:
    """Open every slot that is due at `now` and ask for its job, in one transaction a schedule.

    Gives how many slots are new. Never opens a slot twice, also when the clock steps back.
    """
    return sum(_open(schedule, now=now) for schedule in registry.schedules())


def _open(schedule: Schedule, *, now: datetime) -> int:
    with transaction.atomic(using=JOBS):
        slots = due_slots(
            cadence=schedule.cadence,
            catch_up=schedule.catch_up,
            last=_last_opened(schedule.name, now=now),
            now=now,
        )
        return _insert(schedule, slots) if slots else 0


def _last_opened(schedule: str, *, now: datetime) -> datetime | None:
    """The newest slot that was opened; one in the future (the clock stepped back) counts not."""
    with connections[JOBS].cursor() as cursor:
        cursor.execute(
            "SELECT max(slot_at) FROM work_slot WHERE schedule = %s AND slot_at <= %s",
            [schedule, now],
        )
        (last,) = cursor.fetchone()
    return None if last is None else last.astimezone(UTC)


def _insert(schedule: Schedule, slots: list[datetime]) -> int:
    """Insert the slots that are not there; each new one gets its job."""
    with connections[JOBS].cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO work_slot (id, schedule, slot_at, job_id)
            SELECT slot.id, %s, slot.slot_at, slot.id
              FROM unnest(%s::uuid[], %s::timestamptz[]) AS slot (id, slot_at)
             ORDER BY slot.slot_at
            ON CONFLICT (schedule, slot_at) DO NOTHING
            RETURNING id, slot_at
            """,
            [schedule.name, [str(new_id()) for _ in slots], slots],
        )
        opened = [(UUID(str(each)), at.astimezone(UTC)) for each, at in cursor.fetchall()]
    insert_requests(
        [
            JobRequest(
                id=slot_id,
                kind=schedule.kind,
                key=f"{schedule.name}@{slot_at.isoformat()}",
                payload={"slot_at": slot_at.isoformat()},
                requested_by=f"schedule:{schedule.name}",
            )
            for slot_id, slot_at in opened
        ],
        alias=JOBS,
    )
    return len(opened)
