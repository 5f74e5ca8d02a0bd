"""The commands import_usage, usage and close_days, as a person runs them."""

import gzip
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.core.management import load_command_class
from django.core.management.base import OutputWrapper

from billing.subscriptions.models import Subscription
from kernel.period import local_midnight
from metering.ingest.domain.identity import event_identity
from metering.ingest.models import Batch, EventIdentity, RejectedEvent
from tenants.models import App, Tenant
from tenants.scope import system_scope
from tenants.services.create_tenant import CreatedTenant
from tests.factories import NOW, a_plan, a_tenant
from tests.services.metering_world import at, message, send, stored_events
from work.connections import cursor

pytestmark = pytest.mark.usefixtures("db")

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = ("--columns", "app,id,time,user")
SHANGHAI = ("--create-tenants", "--timezone", "Asia/Shanghai")


def run(name: str, *arguments: str | Path) -> tuple[int, dict[str, Any], str]:
    """Exit status, the JSON document, stderr; in this process, which is many times faster."""
    command = load_command_class("metering", name)
    out, told = StringIO(), StringIO()
    command.stdout, command.stderr = OutputWrapper(out), OutputWrapper(told)
    try:
        command.run_from_argv(["manage.py", name, *map(str, arguments), "--json"])
        status = 0
    except SystemExit as left:
        status = int(left.code or 0)
    return status, json.loads(out.getvalue() or "{}"), told.getvalue()


def rows(count: int, *, app: str = "chat", start: int = 0) -> bytes:
    first = at("2026-03-01T00:00:00+08:00")
    return "".join(
        f"{app},{n},{(first + timedelta(minutes=n)).isoformat()},u{n % 7}\n"
        for n in range(start, start + count)
    ).encode()


def written(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def counts(document: dict[str, Any]) -> Sequence[int]:
    return [document[name] for name in ("read", "accepted", "duplicates", "rejected")]


def usage(app: str, meter: str, from_day: str, to_day: str) -> dict[str, Any]:
    status, document, _ = run(
        "usage", "--app", app, "--meter", meter, "--from", from_day, "--to", to_day
    )
    assert status == 0
    return document


def test_a_file_makes_tenants_and_is_counted_and_twice_is_duplicates(tmp_path: Path) -> None:
    path = written(tmp_path, "log.csv.gz", rows(3000) + rows(10, app="push"))

    status, document, _ = run("import_usage", path, *COLUMNS, *SHANGHAI)
    assert (status, document) == (
        0,
        {"read": 3010, "accepted": 3010, "duplicates": 0, "rejected": 0},
    )
    again = run("import_usage", path, *COLUMNS, *SHANGHAI)
    assert (again[0], counts(again[1])) == (0, [3010, 0, 3010, 0])
    # Another file, the same rows: the source is "import" whatever the file's name.
    copy = written(tmp_path, "copy.csv", rows(3001))
    assert counts(run("import_usage", copy, *COLUMNS)[1]) == [3001, 1, 3000, 0]

    with system_scope(purpose="test"):
        assert sorted(Tenant.objects.values_list("key", "timezone")) == [
            ("chat", "Asia/Shanghai"),
            ("push", "Asia/Shanghai"),
        ]
        assert sorted(App.objects.values_list("key", "tenant__key")) == [
            ("chat", "chat"),
            ("push", "push"),
        ]
        # The commands finished their work: no batch waits for a worker.
        assert not Batch.objects.filter(rolled_up_at=None).exists()
    assert usage("chat", "messages", "2026-03-01", "2026-04-01") == {
        "app": "chat",
        "meter": "messages",
        "timezone": "Asia/Shanghai",
        "days": [
            {"day": "2026-03-01", "value": "1440", "state": "open"},
            {"day": "2026-03-02", "value": "1440", "state": "open"},
            {"day": "2026-03-03", "value": "121", "state": "open"},
        ],
    }
    assert [day["value"] for day in usage("chat", "dau", "2026-03-02", "2026-03-03")["days"]] == [
        "7"
    ]


def test_bad_rows_are_counted_and_kept_and_the_others_taken(tmp_path: Path) -> None:
    a_tenant("taken", apps=("other",))
    a_tenant("acme", apps=("chat",), timezone="UTC")
    data = (
        b"chat,1,2026-03-01T00:00:00Z,u1\n"
        b"chat,1,2026-03-01T00:00:00Z,u1\n"
        b"chat,1,2026-03-01T00:00:00Z,u2\n"
        b"chat,2,tomorrow,planted\n"
        b"chat,3\n"
        b"new app,4,2026-03-01T00:00:00Z,planted\n"
        b"taken,5,2026-03-01T00:00:00Z,u1\n"
        b"fresh,6,2026-03-01T00:00:00Z,u1\n"
    )
    path = written(tmp_path, "log.csv", data)

    status, document, stderr = run("import_usage", path, *COLUMNS, *SHANGHAI)

    assert status == 1
    assert counts(document) == [8, 2, 1, 5]
    assert document["codes"] == {
        "bad_row": 1,
        "bad_time": 1,
        "conflicting_duplicate": 1,
        "invalid_key": 1,
        "tenant_key_taken": 1,
    }
    assert "rejected, tenant_key_taken: 1" in stderr
    with system_scope(purpose="test"):
        assert len(stored_events()) == 2
        kept = {row.code: row for row in RejectedEvent.objects.all()}
        acme = Tenant.objects.get(key="acme")
        assert (kept["bad_time"].tenant_id, kept["bad_time"].subject) == (acme.id, "chat")
        assert kept["invalid_key"].tenant_id is None
        assert "planted" not in str([row.content for row in kept.values()])
        # Tenants that were there keep their zone.
        assert acme.timezone == "UTC"
        assert Tenant.objects.get(key="fresh").timezone == "Asia/Shanghai"


def test_an_unknown_app_is_rejected_without_create_tenants(tmp_path: Path) -> None:
    path = written(tmp_path, "log.csv", rows(5))
    status, document, _ = run("import_usage", path, *COLUMNS)
    assert (status, counts(document)) == (1, [5, 0, 0, 5])
    with system_scope(purpose="test"):
        assert set(RejectedEvent.objects.values_list("code", "tenant_id", "subject")) == {
            ("unknown_app", None, "chat")
        }
    # Nothing of it stands in the way of doing it right.
    assert counts(run("import_usage", path, *COLUMNS, *SHANGHAI)[1]) == [5, 5, 0, 0]


def test_ndjson_names_keys(tmp_path: Path) -> None:
    lines = [
        {"id": n, "user": f"u{n}", "app": "chat", "time": "2026-03-01T00:00:00Z", "x": 1}
        for n in range(50)
    ]
    data = "\n".join(json.dumps(line) for line in lines).encode()
    path = written(tmp_path, "log.ndjson.gz", data)
    assert counts(run("import_usage", path, *COLUMNS, *SHANGHAI)[1]) == [50, 50, 0, 0]


def test_a_torn_file_keeps_what_was_read_and_goes_on_when_whole(tmp_path: Path) -> None:
    whole = rows(60_000)
    path = written(tmp_path, "log.csv.gz", whole)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])

    status, document, stderr = run("import_usage", path, *COLUMNS, *SHANGHAI)

    assert status == 1
    assert document["error"]["code"] == "torn_file"
    assert "torn_file" in stderr
    read = document["read"]
    assert 30_000 < read < 50_000
    assert counts(document) == [read, read, 0, 0]
    path.write_bytes(data)
    assert counts(run("import_usage", path, *COLUMNS)[1]) == [60_000, 60_000 - read, read, 0]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["log.csv", "--columns", "app,id,when,user"], "unknown_columns"),
        (["log.csv", "--columns", "app,id"], "missing_columns"),
        (["log.csv", *COLUMNS, "--create-tenants", "--timezone", "Mars/Base"], "unknown_timezone"),
        (["log.txt", *COLUMNS], "unknown_format"),
        (["missing.csv", *COLUMNS], "file_not_readable"),
        ([".csv", *COLUMNS], "file_not_readable"),
    ],
)
def test_wrong_use_is_told_with_status_2(tmp_path: Path, arguments: list[str], code: str) -> None:
    written(tmp_path, "log.csv", rows(1))
    (tmp_path / ".csv").mkdir()
    status, document, _ = run("import_usage", tmp_path / arguments[0], *arguments[1:])
    assert (status, document["error"]["code"]) == (2, code)


def test_usage_refuses_what_it_cannot_answer() -> None:
    a_tenant()
    days = ("--from", "2026-03-01", "--to", "2026-04-01")
    assert run("usage", "--app", "nobody", "--meter", "dau", *days)[0] == 1
    for wrong in (
        ("--app", "chat", "--meter", "visits", *days),
        ("--app", "chat", "--meter", "dau", "--from", "2026-03-01", "--to", "2026-03-01"),
        ("--app", "chat", "--meter", "dau", "--from", "soon", "--to", "2026-03-01"),
    ):
        assert run("usage", *wrong)[0] == 2
    assert usage("chat", "dau", "2026-03-01", "2026-04-01")["days"] == []


def test_usage_counts_what_was_committed_before_it() -> None:
    tenant = a_tenant()
    send(tenant.id, [message("1", "a", at("2026-03-01T12:00:00Z"))], now=at("2026-03-01T12:00:00Z"))
    assert usage("chat", "dau", "2026-03-01", "2026-04-01")["days"] == [
        {"day": "2026-03-01", "value": "1", "state": "open"}
    ]


def test_close_days_closes_and_says_how_many(tmp_path: Path) -> None:
    run("import_usage", written(tmp_path, "log.csv", rows(3000)), *COLUMNS, *SHANGHAI)
    status, document, _ = run("close_days", "--until", "2026-03-03", "--force")
    assert status == 0
    assert document == {
        "until": "2026-03-03",
        "tenants": 1,
        "days": 2,
        "held": 0,
        "proofs": 2,
    }
    assert run("close_days", "--until", "2026-03-03")[1]["days"] == 0
    # Late rows count, and the day stays closed.
    late = written(tmp_path, "late.csv", b"chat,late,2026-03-01T00:00:00Z,u99\n")
    run("import_usage", late, *COLUMNS)
    days = usage("chat", "messages", "2026-03-01", "2026-04-01")["days"]
    assert [(day["value"], day["state"]) for day in days] == [
        ("1441", "closed"),
        ("1440", "closed"),
        ("120", "open"),
    ]
    assert run("close_days")[0] == 2


def subscriptions() -> dict[str, datetime]:
    with system_scope(purpose="test"):
        return dict(Subscription.objects.values_list("tenant__key", "starts_at"))


def test_new_tenants_get_the_plan_from_the_month_of_their_earliest_event(tmp_path: Path) -> None:
    a_plan()
    a_tenant("old", apps=("old",))
    data = (
        b"late,1,2026-05-09T00:00:00Z,u1\n"
        b"old,2,2026-05-09T00:00:00Z,u1\n"
        # Unsorted, and in the zone of the tenant this is March 1st.
        b"late,3,2026-02-28T16:00:00Z,u1\n"
        b"late,4,2026-04-09T00:00:00Z,u1\n"
    )
    path = written(tmp_path, "log.csv", data)
    assert run("import_usage", path, *COLUMNS, *SHANGHAI, "--plan", "standard")[0] == 0
    march = local_midnight(date(2026, 3, 1), ZoneInfo("Asia/Shanghai"))
    assert subscriptions() == {"late": march}
    assert run("import_usage", path, *COLUMNS, *SHANGHAI, "--plan", "standard")[0] == 0
    assert subscriptions() == {"late": march}


def test_an_unknown_plan_is_told_before_anything_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, "log.csv", rows(5))
    status, document, _ = run("import_usage", path, *COLUMNS, *SHANGHAI, "--plan", "none")
    assert (status, document["error"]["code"]) == (1, "plan_not_found")
    with system_scope(purpose="test"):
        assert not Tenant.objects.exists()


def test_imports_at_once_make_each_tenant_once_and_lose_no_row(tmp_path: Path) -> None:
    apps = [f"app-{n}" for n in range(20)]
    files = [
        written(
            tmp_path,
            f"{name}.csv",
            b"".join(rows(3, app=app, start=start) for app in apps),
        )
        for name, start in (("first", 0), ("second", 3), ("third", 6))
    ]
    with ThreadPoolExecutor(len(files)) as pool:
        outcomes = list(
            pool.map(lambda file: run("import_usage", file, *COLUMNS, *SHANGHAI), files)
        )
    assert [status for status, _, _ in outcomes] == [0, 0, 0]
    with system_scope(purpose="test"):
        assert Tenant.objects.count() == App.objects.count() == len(apps)
        assert len(stored_events()) == 3 * 3 * len(apps)


@pytest.mark.one_node  # over a cluster, shards are written at once and not in an order
def test_imports_of_the_same_ids_of_two_tenants_wait_and_do_not_deadlock(tmp_path: Path) -> None:
    tenants = [a_tenant(key, apps=(key,)) for key in ("one", "two")]
    first, second = sorted(tenants, key=lambda tenant: str(tenant.id))
    # The second tenant's row comes first in the file, and is stored last all the same.
    file = written(tmp_path, "log.csv", rows(1, app=second.key) + rows(1, app=first.key))

    def also_known_of(tenant: CreatedTenant) -> None:
        EventIdentity.objects.create(
            identity=UUID(event_identity(source="import", event_id="0")),
            tenant_id=tenant.id,
            digest=UUID(int=0),
            received_at=NOW,
        )

    with ThreadPoolExecutor(1) as pool:
        with system_scope(purpose="test"):
            also_known_of(first)
            importing = pool.submit(run, "import_usage", file, *COLUMNS)
            while not _somebody_waits():
                time.sleep(0.02)
            also_known_of(second)
        _, told, _ = importing.result()
    assert counts(told) == [2, 0, 0, 2]


def _somebody_waits() -> bool:
    with cursor() as execution:
        execution.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
        return bool(execution.fetchone()[0])


def test_an_import_killed_at_any_moment_and_run_again_is_as_if_never_killed(tmp_path: Path) -> None:
    a_plan()
    chance = random.Random(20)
    apps = [f"app{n}" for n in range(20)]
    lines = [
        f"{chance.choice(apps)},{n},"
        f"{(at('2026-01-05T00:00:00Z') + timedelta(seconds=chance.randrange(9_000_000))).isoformat()}"
        f",u{chance.randrange(40)}"
        for n in range(120_000)
    ]
    path = written(tmp_path, "log.csv", "\n".join(lines).encode())
    command = [sys.executable, "manage.py", "import_usage", str(path), *COLUMNS, *SHANGHAI]
    command += ["--plan", "standard"]
    for delay in (0.9, 1.6, 2.4):
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
    with system_scope(purpose="test"):
        stored = EventIdentity.objects.count()
        assert stored == len(stored_events())

    status, document, _ = run("import_usage", path, *COLUMNS, *SHANGHAI, "--plan", "standard")

    assert status == 0
    assert counts(document) == [120_000, 120_000 - stored, stored, 0]
    users: dict[tuple[str, date], set[str]] = {}
    earliest: dict[str, date] = {}
    for line in lines:
        app, _, time_text, user = line.split(",")
        day = datetime.fromisoformat(time_text).astimezone(ZoneInfo("Asia/Shanghai")).date()
        users.setdefault((app, day), set()).add(user)
        earliest[app] = min(day, earliest.get(app, day))
    days = usage("app7", "dau", "2026-01-01", "2026-12-31")["days"]
    assert {day["day"]: int(day["value"]) for day in days} == {
        day.isoformat(): len(who) for (app, day), who in users.items() if app == "app7"
    }
    zone = ZoneInfo("Asia/Shanghai")
    assert subscriptions() == {
        app: local_midnight(day.replace(day=1), zone) for app, day in earliest.items()
    }
