"""The local stand-in for Stripe: the package `localstripe` on a loopback port.

It speaks Stripe's HTTP interface, keeps its objects below the state folder and sends signed
webhooks, so that the demo's card payments go the whole way. It is never used with a real key.
"""

import json
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from config.embedded import ports

# What a real account would give; the stand-in accepts any key of this form.
SECRET_KEY = "sk_test_local_stand_in"  # noqa: S105  # it opens nothing but the stand-in
PUBLISHABLE_KEY = "pk_test_local_stand_in"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalStripe:
    """How to start it, and where it then is."""

    command: tuple[str, ...]
    api_base: str
    port: int

    def is_ready(self) -> bool:
        return ports.is_open(self.port)

    def send_webhooks(self, *, to: str, secret: str) -> None:
        """Have every event sent to that URL, signed with the secret. Raises OSError.

        It forgets this when it stops.
        """
        request = urllib.request.Request(  # noqa: S310  # the URL is made above, http
            f"{self.api_base}/_config/webhooks/summit",
            data=json.dumps({"url": to, "secret": secret}).encode(),
            headers={"Content-Type": "application/json"},
            method="POST",
        )
        with urllib.request.urlopen(request, timeout=5):  # noqa: S310  # as above
            pass


def prepared(home: Path) -> LocalStripe:
    """Its place below `home`. Raises OSError."""
    folder = home / "stripe"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    port = ports.free_port(remembered_in=folder / "port")
    return LocalStripe(
        command=(
            sys.executable,
            "-m",
            "config.embedded.stripe_server",
            f"--port={port}",
            f"--state={folder / 'objects.pickle'}",
        ),
        api_base=f"http://127.0.0.1:{port}",
        port=port,
    )
