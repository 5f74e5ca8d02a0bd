"""Make partitions of the months ahead, and drop those that are older than events are kept."""

from typing import Any

from kernel import clock
from metering.retention.services.keep_partitions import keep_partitions
from work.commands import SummitCommand


class Command(SummitCommand):
    help = (
        "Make the partitions of raw events of the months ahead, and drop those older than 400 days; "
        "the scheduler does it daily. Blocks no ingest; safe to run again, also after a kill."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        kept = keep_partitions(now=clock.now())
        self.emit(
            {
                "made": list(kept.made),
                "dropped": list(kept.dropped),
                "waiting": dict(kept.waiting),
                "rows_removed": kept.rows_removed,
                "busy": kept.is_busy,
            },
            failed=bool(kept.waiting),
        )
