"""Generated load goes through the front doors and is counted as it was made."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from django.core.management import CommandError, call_command
from django.core.wsgi import get_wsgi_application

from kernel import clock
from metering.reports.services.gateways import create_gateway
from metering.rollup.models import DailyUsage
from metering.services import roll_up_pending
from tenants.models import App
from tenants.scope import system_scope
from work.commands import WrongUse

pytestmark = pytest.mark.usefixtures("db")

SIZES = ("--tenants", "20", "--users", "400", "--messages", "3", "--seed", "7")


def generate(*arguments: str) -> dict[str, Any]:
    out = StringIO()
    call_command("generate_load", *SIZES, *arguments, "--json", stdout=out)
    return dict(json.loads(out.getvalue()))


def counted(meter: str) -> int:
    roll_up_pending(now=clock.now())
    with system_scope(purpose="test"):
        return int(sum(each.value for each in DailyUsage.objects.filter(meter=meter)))


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # as its base names it
        pass


@pytest.fixture
def url() -> Iterator[str]:
    """The application on a port of its own."""
    server = make_server(
        "127.0.0.1", 0, get_wsgi_application(), server_class=WSGIServer, handler_class=_Quiet
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("name", ["load.csv", "load.csv.gz"])
def test_a_file_is_imported_as_it_was_made(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    made = generate("--from", "2026-03-05", "--days", "2", "--repeats", "50", "--output", str(path))
    again = tmp_path / f"again-{name}"
    assert (
        generate("--from", "2026-03-05", "--days", "2", "--repeats", "50", "--output", str(again))[
            "sha256"
        ]
        == made["sha256"]
    )
    assert again.read_bytes() == path.read_bytes()
    out = StringIO()
    call_command(
        "import_usage",
        str(path),
        "--columns",
        "app,id,time,user",
        "--create-tenants",
        "--timezone",
        "Asia/Shanghai",
        "--json",
        stdout=out,
    )
    imported = json.loads(out.getvalue())
    assert (imported["accepted"], imported["duplicates"], imported["rejected"]) == (
        made["events"],
        made["repeats"],
        0,
    )
    assert (counted("dau"), counted("messages")) == (made["users"], made["events"])
    with system_scope(purpose="test"):
        assert App.objects.count() == made["tenants"]


def test_events_over_http(url: str, tmp_path: Path) -> None:
    today = (clock.now() - timedelta(days=3)).date().isoformat()
    keys = str(tmp_path / "keys")
    made = generate("--from", today, "--url", url, "--prepare", "--keys", keys, "--repeats", "50")
    assert (made["accepted"], made["duplicates"]) == (made["events"], made["repeats"])
    assert (made["failed"], made["faults"]) == (0, {})
    assert (counted("dau"), counted("messages")) == (made["users"], made["events"])
    assert Path(keys).stat().st_mode & 0o077 == 0
    # Sent again, nothing is counted again.
    again = generate("--from", today, "--url", url, "--keys", keys, "--repeats", "0")
    assert (again["accepted"], again["duplicates"]) == (0, made["events"])
    # Tenants that were not made are told, and the keys that there are stay.
    kept = Path(keys).read_text()
    more = ("--from", today, "--tenants", "40")
    with pytest.raises(WrongUse, match="--prepare"):
        generate(*more, "--url", url, "--keys", keys)
    with pytest.raises(CommandError, match="taken"):
        generate(*more, "--prepare", "--keys", keys)
    assert Path(keys).read_text() == kept


def test_reports_over_http(url: str, tmp_path: Path) -> None:
    today = (clock.now() - timedelta(days=3)).date().isoformat()
    generate("--from", today, "--prepare", "--keys", str(tmp_path / "keys"))
    with system_scope(purpose="test"):
        gateway = create_gateway(key="gw", deployment="shared", now=clock.now(), actor="test")
    secret = tmp_path / "secret"
    secret.write_text(gateway.secret)
    made = generate("--from", today, "--url", url, "--gateway", "gw", "--secret-file", str(secret))
    assert (made["failed"], made["faults"]) == (0, {})
    assert made["accepted"] == made["requests"]
    assert (counted("dau"), counted("messages")) == (made["users"], made["events"])


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        ["--output", "load.txt"],
        ["--url", "http://127.0.0.1:1"],
        ["--url", "http://127.0.0.1:1", "--gateway", "gw"],
        ["--output", "load.csv", "--timezone", "Mars"],
        ["--prepare"],
    ],
)
def test_wrong_use(wrong: list[str]) -> None:
    with pytest.raises(WrongUse):
        generate("--from", "2026-03-05", *wrong)
