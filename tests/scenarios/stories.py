"""Telling stories to `manage.py scenario` and reading what comes of them."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from django.core.management import call_command

BASE: dict[str, Any] = {
    "key": "base",
    "model": "flat",
    "amount": "310",
    "timing": "in_advance",
    "prorate": True,
}
"""310 a month: 10 a day in a month of 31 days."""


def a_story(*steps: Mapping[str, Any], plans: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "name": "test",
        "currency": "CNY",
        "timezone": "Asia/Shanghai",
        "grace": "PT0S",
        "plans": list(plans),
        "steps": list(steps),
    }


def a_plan(key: str, *prices: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "key": key,
        "name": {"en": key},
        "currency": "CNY",
        "interval": "month",
        "prices": list(prices),
        **fields,
    }


def at(when: str, do: str, /, **fields: Any) -> dict[str, Any]:
    """A step at an instant of Shanghai, by default at its midnight: `03-16` or `03-16T12:00`."""
    text = f"2026-{when}" if len(when) <= 11 else when
    instant = f"{text if 'T' in text else text + 'T00:00'}:00+08:00"
    return {"to" if do == "advance" else "at": instant, "do": do, **fields}


def beginning(plan: str, day: str = "03-01", **fields: Any) -> list[dict[str, Any]]:
    """A tenant `acme` with the app `chat` and a subscription."""
    return [
        at(day, "create_tenant", tenant="acme", apps=["chat"]),
        at(day, "subscribe", tenant="acme", plan=plan, **{"anchor": "calendar", **fields}),
    ]


def told(story: Mapping[str, Any] | Sequence[Mapping[str, Any]], folder: Path) -> tuple[str, int]:
    """What the command prints, and its exit status."""
    file = folder / "story.json"
    file.write_text(json.dumps(story), encoding="utf-8")
    printed = io.StringIO()
    try:
        call_command("scenario", str(file), stdout=printed)
    except SystemExit as left:
        return printed.getvalue(), int(left.code or 0)
    return printed.getvalue(), 0


def played(story: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The result of a story that can be done, with a ledger that balances."""
    printed, status = told(story, folder)
    result: dict[str, Any] = json.loads(printed)
    assert status == 0, result
    assert result["ledger_balanced"] is True
    return result


def refused(story: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The error of a story that can't be done."""
    printed, status = told(story, folder)
    assert status == 1, printed
    error: dict[str, Any] = json.loads(printed)["error"]
    return error


def amounts(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(line["key"], line["amount"]) for line in document["lines"]]
