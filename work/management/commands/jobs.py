"""Show the state of due work."""

from typing import Any

from django.core.management.base import CommandParser

from kernel import clock
from work import queries
from work.commands import SummitCommand
from work.connections import JOBS, using_alias
from work.domain import JobState


class Command(SummitCommand):
    help = "Show how many jobs are in which state, whether work flows, and what needs a person."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--state",
            choices=[str(state) for state in JobState],
            default=str(JobState.PARKED),
            help="List the newest jobs of this state (default: parked).",
        )
        parser.add_argument(
            "--limit", type=int, default=20, help="List at most so many (default: 20)."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        with using_alias(JOBS):
            health = queries.queue_health(now=clock.now())
            counts = queries.job_counts()
            listed = queries.jobs(states=[JobState(options["state"])], limit=options["limit"])
            schedules = queries.schedules()
        self.emit(
            {
                "alive": health.alive,
                "last_heartbeat_at": health.last_heartbeat_at,
                "due": health.due,
                "oldest_due_seconds": health.oldest_due_seconds,
                "running": health.running,
                "parked": health.parked,
                "outbox_waiting": health.outbox_waiting,
                "kinds": [
                    {"kind": each.kind, "state": each.state, "count": each.count} for each in counts
                ],
                "schedules": [
                    {
                        "name": each.name,
                        "every_seconds": int(each.every.total_seconds()),
                        "last_slot_at": each.last_slot_at,
                    }
                    for each in schedules
                ],
                "jobs": [
                    {
                        "job": each.id,
                        "kind": each.kind,
                        "key": each.key,
                        "state": each.state,
                        "attempts": each.attempts,
                        "code": each.error_code,
                        "detail": each.error_detail,
                    }
                    for each in listed
                ],
            }
        )
