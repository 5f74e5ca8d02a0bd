"""The local stand-in for the tax platform on a loopback port; its fapiao are specimens."""

import sys
from dataclasses import dataclass
from pathlib import Path

from config.embedded import ports

API_KEY = "local-stand-in"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalTaxPlatform:
    """How to start it, and where it then is."""

    command: tuple[str, ...]
    api_base: str
    port: int

    def is_ready(self) -> bool:
        return ports.is_open(self.port)


def prepared(home: Path) -> LocalTaxPlatform:
    """Its place below `home`. Raises OSError."""
    folder = home / "tax-platform"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    port = ports.free_port(remembered_in=folder / "port")
    return LocalTaxPlatform(
        command=(
            sys.executable,
            "-m",
            "config.embedded.tax_platform_server",
            f"--port={port}",
            f"--state={folder / 'requests.json'}",
        ),
        api_base=f"http://127.0.0.1:{port}",
        port=port,
    )
