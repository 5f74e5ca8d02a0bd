"""The embedded PostgreSQL is started once, shared, left when unused, and survives being killed."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import psycopg2
import pytest

from config.embedded import accounts, locks, postgres
from config.environment import CHECKOUT
from kernel.errors import Unavailable

_USE_AND_WAIT = (
    "import sys, pathlib; from config.embedded import postgres;"
    "print(postgres.ensure_running(pathlib.Path(sys.argv[1]), durable=False), flush=True);"
    "sys.stdin.read()"
)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """An empty state folder below one that is closed to other accounts, as `mktemp -d` makes it."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    yield closed / "home"
    postgres.stop_if_unused(closed / "home")


def _answer(url: str, statement: str = "SELECT 1") -> object:
    connection = psycopg2.connect(url, connect_timeout=10)
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            (value,) = cursor.fetchone() or (None,)
        connection.commit()
        return value
    finally:
        connection.close()


def _another_user(home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _USE_AND_WAIT, str(home)],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _postmaster(home: Path) -> psutil.Process:
    recorded = (home / "postgres/data/postmaster.pid").read_text(encoding="utf-8")
    return psutil.Process(int(recorded.splitlines()[0]))


def _wait_until_unkept(home: Path) -> None:
    until = time.monotonic() + 20
    while not locks.is_free(postgres.Places.below(home).keeper):
        assert time.monotonic() < until
        time.sleep(0.02)


def _keeper(home: Path) -> int:
    announced: dict[str, int] = json.loads((home / "postgres/server.json").read_text())
    return announced["keeper"]


def test_server_is_closed_to_others_and_counts_in_utc(home: Path) -> None:
    url = postgres.ensure_running(home, durable=False)
    assert _answer(url, "SHOW timezone") == "UTC"
    assert _answer(url, "SELECT datlocale FROM pg_database WHERE datname = 'summit'") == "C.UTF-8"
    assert _answer(url, "SHOW listen_addresses") == "127.0.0.1"
    password = home / "postgres/password"
    assert stat.S_IMODE(password.stat().st_mode) == 0o600
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        _answer(url.replace(password.read_text(), "guess"))


def test_root_opens_folders_above_to_its_own_group_only(home: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    url = postgres.ensure_running(home, durable=False)
    assert _answer(url) == 1
    assert _postmaster(home).uids().effective != 0
    assert stat.S_IMODE(home.parent.stat().st_mode) == 0o710


def test_durable_server_syncs_and_a_test_server_does_not(home: Path) -> None:
    assert _answer(postgres.ensure_running(home, durable=True), "SHOW fsync") == "on"
    assert postgres.stop_if_unused(home)
    assert _answer(postgres.ensure_running(home, durable=False), "SHOW fsync") == "off"


def test_processes_that_come_at_once_share_one_server(home: Path) -> None:
    others = [_another_user(home) for _ in range(3)]
    try:
        with ThreadPoolExecutor(4) as threads:
            mine = set(
                threads.map(lambda _: postgres.ensure_running(home, durable=False), range(4))
            )
        assert len(mine) == 1
        assert {_said(each) for each in others} == mine
        assert _answer(mine.pop()) == 1
        assert not postgres.stop_if_unused(home), "others use it still"
    finally:
        for each in others:
            each.communicate()
    assert postgres.stop_if_unused(home)


def test_data_and_address_stay_over_a_restart(home: Path) -> None:
    url = postgres.ensure_running(home, durable=False)
    _answer(url, "CREATE TABLE kept AS SELECT 7 AS value; SELECT 1")
    assert postgres.stop_if_unused(home)
    assert not (home / "postgres/data/postmaster.pid").exists()
    again = postgres.ensure_running(home, durable=False)
    assert again == url
    assert _answer(again, "SELECT value FROM kept") == 7


def test_server_stops_by_itself_after_its_last_user_was_killed(home: Path) -> None:
    user = _another_user(home)
    url = _said(user)
    server = _postmaster(home)
    user.kill()
    user.communicate()
    assert _answer(url) == 1, "it lingers for the next command"
    server.wait(20)
    assert locks.is_free(postgres.Places.below(home).keeper)


@pytest.mark.parametrize("victim", ["keeper", "server", "both"])
def test_next_process_starts_it_again_after_a_kill(home: Path, victim: str) -> None:
    user = _another_user(home)
    url = _said(user)
    _answer(url, "CREATE TABLE kept AS SELECT 7 AS value; SELECT 1")
    keeper, server = psutil.Process(_keeper(home)), _postmaster(home)
    for each in {"keeper": [keeper], "server": [server], "both": [keeper, server]}[victim]:
        each.kill()
    _wait_until_unkept(home)
    url = postgres.ensure_running(home, durable=False)
    assert _answer(url, "SELECT value FROM kept") == 7
    user.communicate()


def test_a_user_that_asks_again_gets_a_new_server_for_a_dead_one(home: Path) -> None:
    url = postgres.ensure_running(home, durable=False)
    _postmaster(home).kill()
    _wait_until_unkept(home)
    assert postgres.ensure_running(home, durable=False) == url
    assert _answer(url) == 1


def test_stale_pid_file_of_a_living_stranger_is_no_obstacle(home: Path) -> None:
    postgres.ensure_running(home, durable=False)
    postgres.stop_if_unused(home)
    stale = home / "postgres/data/postmaster.pid"
    stale.write_text(f"{os.getppid()}\n{stale.parent}\n1\n5432\n\n127.0.0.1\n1 1\nready\n")
    assert _answer(postgres.ensure_running(home, durable=False)) == 1


def test_another_port_is_taken_when_the_old_one_is_in_use(home: Path) -> None:
    url = postgres.ensure_running(home, durable=False)
    postgres.stop_if_unused(home)
    port = int((home / "postgres/port").read_text())
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", port))
        squatter.listen()
        again = postgres.ensure_running(home, durable=False)
        assert again != url
        assert _answer(again) == 1


def test_half_made_cluster_is_made_again(home: Path) -> None:
    draft = home / "postgres/data.new/base"
    draft.mkdir(parents=True)
    (draft / "rest").write_text("of a killed attempt")
    assert _answer(postgres.ensure_running(home, durable=False)) == 1


def test_cluster_of_another_version_is_refused_in_words(home: Path) -> None:
    data = home / "postgres/data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("15\n")
    with pytest.raises(Unavailable, match=r"made by PostgreSQL 15 .* DATABASE_URL"):
        postgres.ensure_running(home, durable=False)


def test_state_folder_that_cannot_be_made_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="Not a directory"):
        postgres.ensure_running(tmp_path / "file" / "home", durable=False)


def test_child_after_a_fork_holds_a_share_of_its_own(home: Path) -> None:
    postgres.ensure_running(home, durable=False)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        url = postgres.ensure_running(home, durable=False)
        os.write(writer, url.encode())
        signal.pause()
        os._exit(0)
    try:
        url = os.read(reader, 1000).decode()
        assert not postgres.stop_if_unused(home)
        assert _answer(url) == 1
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reader)
        os.close(writer)
    assert postgres.stop_if_unused(home)


class TestAccounts:
    def test_mode_bits_decide_as_the_system_does(self, tmp_path: Path) -> None:
        if os.geteuid() != 0:
            pytest.skip("needs root")
        stranger = accounts.Account(uid=65534, gid=65534)
        tmp_path.chmod(0o705)
        assert stranger.may(1, tmp_path)
        assert not accounts.Account(uid=65534, gid=0).may(1, tmp_path), "the group's bits count"
        tmp_path.chmod(0o670)
        assert not stranger.may(1, tmp_path)

    def test_owner_of_the_nearest_folder_runs_the_server(self, tmp_path: Path) -> None:
        if os.geteuid() != 0:
            pytest.skip("needs root")
        owned = tmp_path / "owned"
        below = owned / "by-root"
        below.mkdir(parents=True)
        os.chown(owned, 1, 1)
        account = accounts.account_for(below)
        assert account is not None
        assert account.uid == 1

    def test_package_closed_by_a_strict_umask_becomes_readable(self, tmp_path: Path) -> None:
        if os.geteuid() != 0:
            pytest.skip("needs root")
        tree = tmp_path / "package"
        (tree / "bin").mkdir(parents=True)
        program, text = tree / "bin/program", tree / "text"
        program.touch()
        text.touch()
        for path, mode in ((program, 0o700), (text, 0o600), (tree / "bin", 0o700), (tree, 0o700)):
            path.chmod(mode)
        account = accounts.readable(
            accounts.Account(uid=65534, gid=65534), tree=tree, samples=[program, text]
        )
        assert stat.S_IMODE(program.stat().st_mode) == 0o750
        assert stat.S_IMODE(text.stat().st_mode) == 0o640
        assert account.may(5, program)
        assert account.may(4, text)
