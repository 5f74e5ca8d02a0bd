"""What Celery's beat sends: one tick, by interval.

Beat knows no times of day and no time zones. What is due at a tick is decided by the tables of
`work`, where each topic's `tasks.py` declares its schedules (`manage.py jobs` lists them).
"""

from datetime import timedelta
from typing import Any

from celery.schedules import schedule

from kernel.clock import steady_now

TICK = timedelta(seconds=15)

BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "tick": {
        "task": "work.tick",
        # By the machine's clock, beat would be silent for two days after it was set back by two.
        "schedule": schedule(TICK, nowfun=steady_now),
        # A tick that no worker took before the next one comes is worth nothing.
        "options": {"expires": TICK.total_seconds(), "queue": "pulse"},
    },
}
