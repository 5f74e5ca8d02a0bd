"""``make run``: everything that Summit needs on one machine, from an empty folder to a web page.

It starts the embedded servers whose addresses are not given by the environment, brings the database
up to date, fills it with the demo world the first time, and then keeps web, worker and scheduler
running until Ctrl-C or SIGTERM. Its children never outlive it.
"""

import argparse
import contextlib
import fcntl
import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from urllib.parse import quote

import psycopg2

from config import environment, supervision
from config.embedded import broker, postgres, stripe, tax_platform
from config.supervision import Program, ProgramFault, Supervisor
from kernel.errors import DomainError

WEB_WORKERS = 2
JOB_PROCESSES = 2
_SETTLING_SECONDS = 90.0
_WATCH_SECONDS = 1.0
_DATABASE_WATCH_SECONDS = 5.0


class RunFault(Exception):
    """Why it cannot run; the message names the mend."""


class Stopped(Exception):
    """Ctrl-C or SIGTERM."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="make run", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--with-parent", action="store_true", help="stop when the process that started this ends"
    )
    arguments = parser.parse_args()
    if arguments.with_parent:
        supervision.stop_with_parent()
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, _stop)
    try:
        settings = environment.load()
        with _only_run(settings):
            return _run(settings, parent=os.getppid() if arguments.with_parent else None)
    except (environment.EnvironmentFault, RunFault, DomainError, ProgramFault) as fault:
        _say(f"\nSummit cannot run: {fault}")
        return 1
    except OSError as fault:
        _say(f"\nSummit cannot run: {fault.filename or ''} {fault.strerror or fault}")
        return 1
    except Stopped:
        return 0


def _run(settings: environment.Environment, *, parent: int | None) -> int:
    began = time.monotonic()
    home = settings.home
    supervisor = Supervisor(home=home, say=_say)
    supervisor.end_leftovers()
    _refuse_taken_port(settings)
    try:
        try:
            _start(settings, supervisor)
            _say(_welcome(settings, seconds=time.monotonic() - began))
            _watch(settings, supervisor, parent=parent)
        finally:
            # A second Ctrl-C must not leave anything behind either.
            for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(sign, signal.SIG_IGN)
            _say("\nStopping …")
            supervisor.stop(["scheduler", "web", "worker"])
            supervisor.stop(["stripe", "tax-platform", "broker"])
            if not settings.database_url and not postgres.stop_if_unused(home):
                _say("The database stays up for another command that uses it.")
    except Stopped:
        _say("Stopped.")
    return 0


def _start(settings: environment.Environment, supervisor: Supervisor) -> None:
    """Start everything and wait until it serves. Raises ProgramFault, RunFault, DomainError."""
    home = settings.home
    database_url = settings.database_url
    if not database_url:
        _say("Starting PostgreSQL …")
        database_url = postgres.ensure_running(home)
    overlay = {"PUBLIC_URL": settings.public_url}
    if not settings.broker_url:
        _say("Starting the message broker …")
        valkey = broker.prepared(home)
        supervisor.start(
            Program(name="broker", command=valkey.command, is_ready=valkey.is_ready),
            within_seconds=_SETTLING_SECONDS,
        )
        overlay["BROKER_URL"] = valkey.url
    if not settings.stripe_secret_key:
        overlay |= _start_stripe(settings, supervisor)
    if not settings.fapiao_api_base:
        overlay |= _start_tax_platform(settings, supervisor)
    is_first = _is_empty(database_url)
    unseeded = home / "unseeded"
    if is_first:
        # Before the database is made: a run that is stopped in between is a first one still.
        unseeded.touch()
    _say("Making the database …" if is_first else "Bringing the database up to date …")
    _manage("setup_database", overlay)
    if unseeded.exists():
        if settings.wants_demo:
            _say("Making the demo world (about a minute) …")
            _manage("seed_demo", overlay)
        unseeded.unlink()
    _say("Starting web, worker and scheduler …")
    if not settings.mail.documents:
        # Only now: what the demo world billed in the past is nobody's news.
        overlay["EMAIL_URL"] = f"file://{quote(settings.mail.folder)}"
    for program in _programs(settings, overlay):
        supervisor.start(program, within_seconds=_SETTLING_SECONDS)


def _start_stripe(settings: environment.Environment, supervisor: Supervisor) -> dict[str, str]:
    """Start the stand-in for Stripe; returns what the other programs must know of it."""
    _say("Starting a local stand-in for Stripe …")
    stand_in = stripe.prepared(settings.home)
    webhooks = f"http://{_own_address(settings)}/webhooks/stripe"

    def subscribe() -> None:
        stand_in.send_webhooks(to=webhooks, secret=settings.stripe_webhook_secret)

    supervisor.start(
        Program(
            name="stripe",
            command=stand_in.command,
            is_ready=stand_in.is_ready,
            when_ready=subscribe,
        ),
        within_seconds=_SETTLING_SECONDS,
    )
    return {
        "STRIPE_SECRET_KEY": stripe.SECRET_KEY,
        "STRIPE_PUBLISHABLE_KEY": stripe.PUBLISHABLE_KEY,
        "STRIPE_API_BASE": stand_in.api_base,
        "STRIPE_WEBHOOK_SECRET": settings.stripe_webhook_secret,
    }


def _start_tax_platform(
    settings: environment.Environment, supervisor: Supervisor
) -> dict[str, str]:
    """Start the stand-in for the tax platform; returns what the other programs must know of it."""
    stand_in = tax_platform.prepared(settings.home)
    supervisor.start(
        Program(name="tax-platform", command=stand_in.command, is_ready=stand_in.is_ready),
        within_seconds=_SETTLING_SECONDS,
    )
    return {"FAPIAO_API_BASE": stand_in.api_base, "FAPIAO_API_KEY": tax_platform.API_KEY}


def _programs(settings: environment.Environment, overlay: dict[str, str]) -> Iterator[Program]:
    celery = [sys.executable, "-m", "celery", "--app=config.celery"]
    yield Program(
        name="web",
        command=[
            *(sys.executable, "-m", "granian", "--interface=wsgi", "config.wsgi:application"),
            *(f"--host={settings.host}", f"--port={settings.port}", f"--workers={WEB_WORKERS}"),
            *("--blocking-threads=8", "--respawn-failed-workers", "--workers-kill-timeout=10"),
            *("--no-ws", "--log-level=info"),
        ],
        environment=overlay,
        is_ready=lambda: _answers(settings, path="/readyz"),
    )
    yield Program(
        name="worker",
        command=[
            *(*celery, "worker", "--pool=prefork", f"--concurrency={JOB_PROCESSES}"),
            *("--queues=pulse,work", "--without-gossip", "--without-mingle", "--loglevel=INFO"),
        ],
        environment=overlay,
        patience_seconds=30.0,
    )
    yield Program(
        name="scheduler",
        command=[*celery, "beat", "--loglevel=INFO", "--pidfile="],
        environment=overlay,
    )


def _watch(
    settings: environment.Environment, supervisor: Supervisor, *, parent: int | None
) -> None:
    """Until Ctrl-C or SIGTERM, to us or to the parent; raises Stopped."""
    children = _wakeup(signal.SIGCHLD)
    next_look = time.monotonic()
    parent_was_stopping = False
    while True:
        supervisor.watch()
        parent_stops = parent is not None and _is_stopping(parent)
        if parent_stops and parent_was_stopping:
            raise Stopped
        parent_was_stopping = parent_stops
        if not settings.database_url and time.monotonic() >= next_look:
            next_look = time.monotonic() + _DATABASE_WATCH_SECONDS
            try:
                postgres.ensure_running(settings.home)
            except DomainError as fault:
                _say(str(fault))
        select.select([children], [], [], _WATCH_SECONDS)
        with contextlib.suppress(BlockingIOError):
            children.recv(64)


def _is_stopping(make: int) -> bool:
    """Is `make` in its answer to a signal, and waits for us? (Linux only)

    Ctrl-C reaches us too. But a SIGINT sent to make alone goes no further: make blocks the signal
    and waits for its children to end by themselves.
    """
    try:
        status = Path(f"/proc/{make}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    blocked = next(
        (int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigBlk:")), 0
    )
    return any(blocked >> (sign - 1) & 1 for sign in (signal.SIGINT, signal.SIGHUP))


def _wakeup(sign: signal.Signals) -> socket.socket:
    """A socket that can be read after each signal, also of the others that have a Python handler."""
    reader, writer = socket.socketpair()
    for end in (reader, writer):
        end.setblocking(False)
    signal.set_wakeup_fd(writer.detach(), warn_on_full_buffer=False)
    signal.signal(sign, lambda *_: None)
    return reader


def _stop(*_: object) -> None:
    raise Stopped


@contextlib.contextmanager
def _only_run(settings: environment.Environment) -> Iterator[None]:
    """One run per state folder. Raises RunFault when another is up."""
    settings.home.mkdir(parents=True, exist_ok=True)
    with (settings.home / "run.lock").open("a+", encoding="utf-8") as lock:
        if not _locked(lock):
            lock.seek(0)
            raise RunFault(
                f"it runs already in {settings.home} ({lock.read().strip() or 'starting'});"
                " a second copy needs its own: make run SUMMIT_HOME=.summit-2 PORT=8001"
            )
        lock.truncate(0)
        lock.write(f"process {os.getpid()}, {settings.public_url}\n")
        lock.flush()
        yield


def _locked(lock: IO[str]) -> bool:
    """Take the lock; a run that is just stopping gets the time to do so."""
    until = time.monotonic() + 5
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                return False
            time.sleep(0.1)
        else:
            return True


def _refuse_taken_port(settings: environment.Environment) -> None:
    """Raises RunFault when something listens on our port, or the address is not this machine's."""
    host, port = settings.host, settings.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise RunFault(
                f"{host} port {port} cannot be used ({error.strerror});"
                f" choose another: make run PORT={port % 65535 + 1}"
            ) from error


def _is_empty(database_url: str) -> bool:
    """Has this database never been set up? Raises RunFault when it cannot be reached."""
    try:
        connection = psycopg2.connect(database_url, connect_timeout=15)
    except psycopg2.OperationalError as error:
        raise RunFault(f"the database of DATABASE_URL cannot be reached: {error}") from error
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('summit_schema') IS NULL")
        (is_empty,) = cursor.fetchone() or (True,)
    return bool(is_empty)


def _manage(command: str, overlay: dict[str, str]) -> None:
    """Run a command of manage.py; its progress and errors go to the terminal, its result nowhere.

    Raises RunFault if it fails.
    """
    process = subprocess.Popen(
        [sys.executable, "manage.py", command],
        cwd=environment.CHECKOUT,
        env={**os.environ, **overlay},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        process_group=0,
        preexec_fn=supervision.stop_with_parent,  # safe: this process has one thread
    )
    try:
        status = process.wait()
    except Stopped:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()
        raise
    if status != 0:
        raise RunFault(f"`manage.py {command}` failed; what it said stands above")


def _own_address(settings: environment.Environment) -> str:
    """Where a program of this machine reaches the web process, as host:port."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104  # compared, not bound
    host = everywhere.get(settings.host, settings.host)
    return f"[{host}]:{settings.port}" if ":" in host.strip("[]") else f"{host}:{settings.port}"


def _answers(settings: environment.Environment, *, path: str) -> bool:
    """Does the web process answer 200 there?"""
    allowed = settings.allowed_hosts
    name = "127.0.0.1" if {"*", "127.0.0.1"} & set(allowed) else allowed[0].lstrip(".")
    connection = http.client.HTTPConnection(_own_address(settings), timeout=5)
    try:
        connection.request("GET", path, headers={"Host": name})
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _welcome(settings: environment.Environment, *, seconds: float) -> str:
    lines = [
        "",
        f"Summit is up after {seconds:.1f} s:",
        "",
        f"    {settings.public_url}/            sign in",
        f"    {settings.public_url}/console/    staff: finance, sales, operations",
        f"    {settings.public_url}/portal/     tenants: usage, invoices, plan, payment, keys",
        f"    {settings.public_url}/api/docs/   the HTTP API",
        "",
        *_logins(settings.home / "demo.json"),
        f"State and logs are in {settings.home}. Ctrl-C stops everything.",
    ]
    return "\n".join(lines)


def _logins(path: Path) -> list[str]:
    """The demo's logins as `seed_demo` has noted them."""
    try:
        logins = json.loads(path.read_text(encoding="utf-8"))["logins"]
    except (FileNotFoundError, ValueError, KeyError):
        return [
            "Make a login: .venv/bin/python manage.py create_user --email you@example.com --staff admin",
            "",
        ]
    rows = [(each["email"], each["password"], each["description"]) for each in logins]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return [
        "Sign in as (demo)",
        *(f"    {mail:{widths[0]}}  {word:{widths[1]}}  {what}" for mail, word, what in rows),
        "",
    ]


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
