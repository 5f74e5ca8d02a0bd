"""Do all work that is due, in this process, with no worker and no broker."""

from typing import Any

from django.core.management.base import CommandParser

from kernel import clock
from work import jobs, registry
from work.commands import SummitCommand, WrongUse


class Command(SummitCommand):
    help = "Run all jobs that are due, in this process, until none is left."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--kinds",
            nargs="+",
            metavar="KIND",
            help="Run only jobs of these kinds.",
        )
        parser.add_argument(
            "--schedules",
            action="store_true",
            help="First open the slots of every schedule that is due.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        kinds = options["kinds"]
        known = registry.kinds()
        unknown = sorted(set(kinds or ()) - set(known))
        if unknown:
            raise WrongUse(
                f"Unknown kinds: {', '.join(unknown)}. Known: {', '.join(sorted(known))}.",
                code="unknown_kind",
                field="kinds",
            )
        run = jobs.run_due if options["schedules"] else jobs.run_pending
        summary = run(now=clock.now(), kinds=kinds, on_progress=self._tell_count)
        self.emit(
            {
                "done": summary.done,
                "tried_again": summary.tried_again,
                "postponed": summary.postponed,
                "parked": [
                    {
                        "job": job.job_id,
                        "kind": job.kind,
                        "key": job.key,
                        "code": job.code,
                        "detail": job.detail,
                    }
                    for job in summary.parked
                ],
            },
            failed=bool(summary.parked),
        )

    def _tell_count(self, summary: jobs.RunSummary) -> None:
        if summary.done and summary.done % 100 == 0:
            self.progress(f"{summary.done} jobs done")
