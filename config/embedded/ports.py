"""Ports of loopback servers."""

import contextlib
import socket
from pathlib import Path


def free_port(*, remembered_in: Path) -> int:
    """The port noted in the file if it is free, else any free one, which is noted there.

    Servers thus keep their address over restarts. Raises OSError when there is none.
    """
    for preferred in (_noted(remembered_in), 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", preferred))
                port: int = probe.getsockname()[1]
                remembered_in.write_text(str(port), encoding="ascii")
                return port
    raise OSError(None, "no free port", "127.0.0.1")


def is_open(port: int) -> bool:
    """Does something on this machine accept connections there?"""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _noted(path: Path) -> int:
    try:
        return int(path.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return 0
