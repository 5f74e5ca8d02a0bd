"""A real chat log of 956,250 messages, imported and compared with an independent recount."""

import csv
import gzip
import json
import os
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Collection
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from metering.queries import recounted_usage, usage
from tenants.models import App
from tenants.scope import system_scope

ROOT = Path(__file__).resolve().parents[2]
LOG = ROOT.parent / "shared" / "data" / "lean-zulip.csv.gz"
EVER = {"from_day": date(2000, 1, 1), "to_day": date(2100, 1, 1)}

pytestmark = [
    pytest.mark.usefixtures("db"),
    pytest.mark.skipif(not LOG.exists(), reason=f"the real log is not at {LOG}"),
    pytest.mark.timeout(600),
]


def counted_by_hand(zone: str, *, apps: Collection[str] = ()) -> dict[tuple[str, str, date], int]:
    """(app, meter, local day) -> value, by sets and counters; all apps or some. For zones of whole
    hours."""
    info = ZoneInfo(zone)
    users: dict[tuple[str, date], set[str]] = defaultdict(set)
    messages: Counter[tuple[str, date]] = Counter()
    days: dict[str, date] = {}
    with gzip.open(LOG, "rt", newline="") as stream:
        for app, _, sent_at, user in csv.reader(stream):
            if apps and app not in apps:
                continue
            hour = sent_at[:13]
            if hour not in days:
                days[hour] = datetime.fromisoformat(f"{hour}:00:00+00:00").astimezone(info).date()
            users[app, days[hour]].add(user)
            messages[app, days[hour]] += 1
    counted = {(app, "dau", day): len(who) for (app, day), who in users.items()}
    counted.update({(app, "messages", day): sent for (app, day), sent in messages.items()})
    return counted


def imported(zone: str, *, log: Path = LOG) -> dict[str, Any]:
    """Run the command; gives its document, seconds and the most memory it held."""
    started = time.monotonic()
    process = subprocess.Popen(
        [
            *(sys.executable, "manage.py", "import_usage", str(log)),
            *("--columns", "app,id,time,user", "--create-tenants", "--timezone", zone, "--json"),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    document = json.loads(process.stdout.read())
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return {
        **document,
        "seconds": time.monotonic() - started,
        "megabytes": used.ru_maxrss / 1024,
    }


def stored() -> dict[tuple[str, str, date], int]:
    with system_scope(purpose="test"):
        apps = {app.id: (app.key, app.tenant_id) for app in App.objects.all()}
        tenants: list[UUID] = [tenant_id for _, tenant_id in apps.values()]
        rows = usage(tenant_ids=tenants, meters=["dau", "messages"], **EVER)
        assert rows == recounted_usage(tenant_ids=tenants, **EVER)
    return {(apps[row.app_id][0], row.meter, row.day): int(row.value) for row in rows}


def of_march(counted: dict[tuple[str, str, date], int], app: str, meter: str) -> list[int]:
    values = [
        value
        for (key, name, day), value in counted.items()
        if (key, name) == (app, meter) and date(2024, 3, 1) <= day < date(2024, 4, 1)
    ]
    return sorted(values, reverse=True)


TWO = ("287929", "113489")


@pytest.mark.parametrize(
    ("zone", "figures"),
    [
        ("Asia/Shanghai", {"287929": (35, 30, 687, 3_073), "113489": (40, 36, 796, 3_023)}),
        ("UTC", {"287929": (33, 28, 666, 3_047), "113489": (41, 34, 778, 3_011)}),
    ],
)
def test_two_apps_of_the_log(
    tmp_path: Path, zone: str, figures: dict[str, tuple[int, int, int, int]]
) -> None:
    part = tmp_path / "part.csv"
    with gzip.open(LOG, "rt") as stream:
        part.write_text("".join(line for line in stream if line.split(",", 1)[0] in TWO))
    assert imported(zone, log=part)["rejected"] == 0

    counted = stored()
    assert counted == counted_by_hand(zone, apps=TWO)
    for app in TWO:
        dau = of_march(counted, app, "dau")
        messages = sum(of_march(counted, app, "messages"))
        assert (dau[0], dau[2], sum(dau), messages) == figures[app]
    if zone == "Asia/Shanghai":
        day = date(2024, 3, 15)
        assert (counted["113489", "dau", day], counted["113489", "messages", day]) == (26, 71)


@pytest.mark.slow
def test_the_whole_log_and_again() -> None:
    first = imported("Asia/Shanghai")
    taken = (first["read"], first["accepted"], first["duplicates"], first["rejected"])
    assert taken == (956_250, 956_250, 0, 0)
    assert first["seconds"] < 120
    assert first["megabytes"] < 500
    counted = stored()
    assert counted == counted_by_hand("Asia/Shanghai")
    dau = [value for (_, meter, _), value in counted.items() if meter == "dau"]
    assert (len(dau), sum(dau)) == (29_595, 225_566)

    again = imported("Asia/Shanghai")
    assert (again["accepted"], again["duplicates"], again["rejected"]) == (0, 956_250, 0)
    assert stored() == counted
