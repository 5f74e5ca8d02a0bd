"""The proof of capacity, in a process and a SUMMIT_HOME of its own:
``python -m config.capacity.inside TENANTS BLOWS SEED``; ``… undisturbed FILE`` bills the copy.

A world of tenants with a month of usage is made and copied. The copy is billed undisturbed, which also
tells how fast that is. The world itself is billed by the schedule: two schedulers, two workers and a
broker, while all of them and the database are killed, and while clocks jump. Both must come out the same, byte for byte, but for
ids, numbers and instants of issue; the numbers must be gapless, and the books agree.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    if sys.argv[1] == "undisturbed":
        result = _undisturbed(Path(sys.argv[2]))
    else:
        tenants, blows, seed = map(int, sys.argv[1:])
        result = _prove(tenants=tenants, blows=blows, seed=seed)
    sys.stdout.write(json.dumps(result))


def _prove(*, tenants: int, blows: int, seed: int) -> dict[str, Any]:
    from django.conf import settings
    from django.db import connections

    from config import database
    from config.bench.measure import machine
    from config.bench.scratch import scratch_database
    from config.bench.world import make_billing_world
    from config.capacity import gate
    from config.capacity.programs import running
    from config.capacity.proof import faults, first_difference, write_result
    from config.capacity.storm import weather
    from config.postgres import roles
    from kernel import clock

    home = settings.SUMMIT_HOME
    undisturbed_file, disturbed_file = home / "undisturbed.txt", home / "disturbed.txt"
    _say(f"making {tenants} tenants with a month of usage …")
    database.set_up(verbosity=0)
    make_billing_world(tenants=tenants, month=last_full_month(clock.now()))
    connections.close_all()
    _say("billing a copy of them, undisturbed …")
    with scratch_database(copy_of=roles.address().database) as environment:
        undisturbed = _run_inside("undisturbed", str(undisturbed_file), environment=environment)
    tenants_a_range = min(500, max(5, tenants // (2 * max(1, blows))))
    _say(
        f"billing them by the schedule, {tenants_a_range} tenants a range, with {blows} blows of seed {seed} …"
    )
    gate.set_up()
    with running(home, tenants_a_range=tenants_a_range) as programs:
        weathered = weather(programs, blows=blows, ranges=tenants // tenants_a_range, seed=seed)
        programs.keep_database()
    ahead = _ahead_of_the_database()
    gate.remove()
    documents = write_result(disturbed_file)
    books = subprocess.run(
        [sys.executable, "manage.py", "verify_ledger", "--json"],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    difference = first_difference(undisturbed_file, disturbed_file)
    again = _bill_again()
    found = faults(
        difference=difference,
        books_agree=books.returncode == 0,
        found_again=again["found"],
        ahead=ahead,
        asked=blows,
        dealt=len(weathered.blows),
    )
    return {
        "ok": not found,
        "faults": found,
        "tenants": tenants,
        "documents": documents,
        "expected_documents": undisturbed["documents"],
        "first_difference": difference,
        "books": json.loads(books.stdout),
        "undisturbed_rate": round(undisturbed["documents"] / undisturbed["seconds"], 1),
        "undisturbed_seconds": undisturbed["seconds"],
        "disturbed_rate": round(documents / weathered.seconds, 1),
        "disturbed_seconds": round(weathered.seconds, 3),
        "seed": seed,
        "asked_blows": blows,
        "dealt_blows": len(weathered.blows),
        "struck": weathered.counted,
        "blows": [
            {
                "what": blow.what,
                "after_documents": blow.after_documents,
                "within": list(blow.within),
            }
            for blow in weathered.blows
        ],
        "begun_ahead_of_time": ahead,
        "second_run_found": again["found"],
        "second_run_seconds": again["seconds"],
        "machine": machine(),
    }


def _ahead_of_the_database() -> list[str]:
    """Slots and runs of instants that have not come yet: a scheduler believed its own clock."""
    from django.db import connections

    from work.connections import OWNER

    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            "SELECT 'slot of ' || schedule FROM work_slot WHERE slot_at > now()"
            " UNION ALL SELECT 'run by ' || requested_by FROM billing_billingrun WHERE at > now()"
        )
        return [what for (what,) in cursor.fetchall()]


def _undisturbed(file: Path) -> dict[str, Any]:
    from config import database
    from config.capacity.proof import write_result

    database.set_up(verbosity=0)  # roles of its own for the copy
    billed = _bill_again()
    return {"seconds": billed["seconds"], "documents": write_result(file)}


def _bill_again() -> dict[str, Any]:
    from billing.invoicing.services.run_now import run_now
    from kernel import clock

    began = time.monotonic()
    result = run_now(at=clock.now(), finalize=True, requested_by="capacity", clock=clock.now)
    return {"found": result.drafted, "seconds": round(time.monotonic() - began, 3)}


def last_full_month(now: datetime) -> date:
    """The first day of the newest month whose documents are final at `now`, grace included."""
    from config.bench.world import ZONE
    from kernel.period import local_day

    settled = local_day(now - timedelta(days=2), ZONE)
    return (settled.replace(day=1) - timedelta(days=1)).replace(day=1)


def _run_inside(*arguments: str, environment: Mapping[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "config.capacity.inside", *arguments],
        env=dict(environment),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
