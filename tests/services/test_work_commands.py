"""What every command promises: one JSON document, exit statuses, no traceback for bad input."""

import json
import os
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from kernel.errors import Conflict
from work.commands import CommandFault, SummitCommand, WrongUse, plain_text

ROOT = Path(__file__).resolve().parents[2]

PROBE = """
import sys, time
from datetime import date
from decimal import Decimal
from django.conf import settings
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "none",
                           "HOST": "127.0.0.1", "PORT": "1", "USER": "nobody"}},
    USE_TZ=True,
)
import django
django.setup()
from django.db import connections
from kernel.errors import Invalid
from work.commands import SummitCommand, WrongUse, date_argument, instant_argument

class Command(SummitCommand):
    def add_arguments(self, parser):
        parser.add_argument("what")
        parser.add_argument("--on", type=date_argument)
        parser.add_argument("--at", type=instant_argument)

    def handle(self, *args, **options):
        self.progress("begun")
        what = options["what"]
        if what == "refuse":
            raise Invalid("tiers_overlap", "tiers overlap; mend them", field="tiers[1]")
        if what == "misuse":
            raise WrongUse("--from is after --to; swap them")
        if what == "file":
            open("/nowhere/at/all")
        if what == "long-name":
            open("/" + 5000 * "x")
        if what == "query":
            with connections["default"].cursor() as cursor:
                cursor.execute("SELECT 1")
        if what == "wait":
            print("waiting", file=sys.stderr, flush=True)
            time.sleep(60)
        if what == "fault":
            raise ZeroDivisionError
        if what == "flood":
            self.emit({"rows": [{"n": n} for n in range(200000)]})
            return
        self.emit(
            {"amount": Decimal("1.50"), "on": date(2026, 3, 1), "name": "\\u4e13\\u4e1a\\u7248"},
            failed=what == "partly",
        )

Command().run_from_argv(["manage.py", "probe", *sys.argv[1:]])
"""


def probe(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROBE, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


def test_json_is_one_document_and_progress_is_elsewhere() -> None:
    done = probe("--json", "work")
    assert done.returncode == 0
    assert json.loads(done.stdout) == {"amount": "1.50", "on": "2026-03-01", "name": "专业版"}
    assert done.stderr == "begun\n"


def test_text_for_people() -> None:
    done = probe("work")
    assert done.stdout == "amount: 1.50\non: 2026-03-01\nname: 专业版\n"


def test_ascii_terminal_breaks_nothing() -> None:
    done = probe("--json", "work", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert json.loads(done.stdout)["name"] == "专业版"


def test_a_check_that_failed_is_status_1_with_its_document() -> None:
    done = probe("--json", "partly")
    assert done.returncode == 1
    assert json.loads(done.stdout)["amount"] == "1.50"


@pytest.mark.parametrize(
    ("arguments", "status", "code", "words"),
    [
        (["refuse"], 1, "tiers_overlap", "tiers overlap; mend them"),
        (["misuse"], 2, "wrong_use", "--from is after --to"),
        (["file"], 2, "file_not_readable", "/nowhere/at/all: No such file"),
        (["long-name"], 2, "file_not_readable", "File name too long"),
        (["query"], 1, "database_unavailable", "Check DATABASE_URL"),
    ],
)
def test_errors_that_the_user_can_mend(
    arguments: list[str], status: int, code: str, words: str
) -> None:
    told = probe(*arguments)
    assert told.returncode == status
    assert told.stdout == ""
    assert f"Error ({code}): " in told.stderr
    assert words in told.stderr
    assert "Traceback" not in told.stderr
    as_json = probe("--json", *arguments)
    assert as_json.returncode == status
    error = json.loads(as_json.stdout)["error"]
    assert error["code"] == code
    assert words in error["message"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "required: what"),
        (["work", "--unknown"], "unrecognized arguments"),
        (["work", "--on", "1 March"], "write it as 2026-03-01"),
        (["work", "--at", "2026-03-01T00:00:00"], "instant with an offset"),
        (["work", "--at", "soon"], "instant with an offset"),
        (["work", "--on", "1899-12-31"], "not in the years 1900 to 2999"),
        (["work", "--at", "9999-12-31T23:59:59-12:00"], "not in the years 1901 to 2998"),
        (["work", "--at", "0001-01-01T00:00:00+14:00"], "not in the years 1901 to 2998"),
        ([os.fsdecode(b"\xff")], "not UTF-8"),
    ],
)
def test_wrong_use_is_status_2(arguments: list[str], words: str) -> None:
    done = probe(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert words in done.stderr
    assert "usage: " in done.stderr
    assert "Traceback" not in done.stderr
    as_json = probe("--json", *arguments)
    assert as_json.returncode == 2
    error = json.loads(as_json.stdout)["error"]
    assert error["code"] == "wrong_use"
    assert words in error["message"]


def test_help_is_no_error() -> None:
    done = probe("--help")
    assert done.returncode == 0
    assert "--json" in done.stdout


def test_a_fault_of_the_program_shows_its_traceback() -> None:
    done = probe("fault")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_interrupt_is_status_130() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROBE, "--json", "wait"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    while "waiting" not in process.stderr.readline():
        pass
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert json.loads(out)["error"]["code"] == "interrupted"
    assert "Traceback" not in err


def test_reader_that_goes_away() -> None:
    done = subprocess.run(
        ["bash", "-c", f'{sys.executable} -c "$PROBE" --json flood | head -c 10'],
        cwd=ROOT,
        env={**os.environ, "PROBE": PROBE},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


class Twice(SummitCommand):
    requires_database = False

    def handle(self, *args: Any, **options: Any) -> None:
        self.emit({})
        self.emit({})


class Refusing(SummitCommand):
    requires_database = False

    def handle(self, *args: Any, **options: Any) -> None:
        raise Conflict("period_closed", "The period is closed; use the next one.")


def test_a_second_document_is_a_fault_of_the_program() -> None:
    with pytest.raises(RuntimeError, match="one document"):
        call_command(Twice(), stdout=StringIO())


def test_called_from_code_errors_are_raised() -> None:
    out = StringIO()
    with pytest.raises(CommandFault) as raised:
        call_command(Refusing(), json=True, stdout=out)
    assert raised.value.code == "period_closed"
    assert json.loads(out.getvalue())["error"]["code"] == "period_closed"


def test_wrong_use_has_its_own_status() -> None:
    assert WrongUse("x").returncode == 2
    assert CommandFault("x", code="y").returncode == 1


def test_plain_text_of_nested_documents() -> None:
    document = {
        "read": 3,
        "parked": [{"tenant": "acme", "code": "no_plan"}],
        "totals": {"CNY": "1.00"},
        "none": [],
        "nothing": None,
    }
    assert plain_text(document) == (
        "read: 3\n"
        "parked:\n"
        "  - tenant=acme  code=no_plan\n"
        "totals:\n"
        "  CNY: 1.00\n"
        "none: none\n"
        "nothing: -"
    )


class TestCommandsOfWork:
    def test_run_jobs_and_jobs(self, db: None) -> None:
        out = StringIO()
        call_command("run_jobs", schedules=True, json=True, stdout=out)
        assert json.loads(out.getvalue())["parked"] == []
        out = StringIO()
        call_command("jobs", state="done", json=True, stdout=out)
        shown = json.loads(out.getvalue())
        assert shown["alive"] is True
        assert shown["due"] == 0
        assert "work.heartbeat" in {each["name"] for each in shown["schedules"]}
        assert "work.heartbeat" in {each["kind"] for each in shown["jobs"]}

    def test_unknown_kind_is_wrong_use(self, db: None) -> None:
        with pytest.raises(WrongUse, match=r"Unknown kinds: no\.such"):
            call_command("run_jobs", kinds=["no.such"])
