"""Load operators' meters from a JSON file."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from kernel import clock
from kernel.documents import parse_json
from metering.services import load_meters
from tenants.scope import system_scope
from work.commands import CommandFault, SummitCommand, WrongUse


class Command(SummitCommand):
    help = (
        'Load meters (one, a list, or an object with a list under "meters") as new versions where '
        "they differ from the latest. A wrong one is refused, and nothing is loaded."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", help="JSON file, or - for stdin.")

    def handle(self, *args: Any, file: str, **options: Any) -> None:
        documents = read_meters(file)
        with system_scope(purpose="load meters", actor="command"):
            loaded = load_meters(documents=documents, now=clock.now(), actor="command:load_meters")
        self.emit(
            {
                "meters": [
                    {"key": each.key, "version": each.version, "created": each.created}
                    for each in loaded
                ]
            }
        )


def read_meters(file: str) -> Sequence[Mapping[str, Any]]:
    """The definitions that a file holds."""
    try:
        text = (
            sys.stdin.buffer.read().decode("utf-8-sig")
            if file == "-"
            else Path(file).read_text(encoding="utf-8-sig")
        )
    except UnicodeDecodeError:
        raise WrongUse(f"{file} is not UTF-8 text.", code="not_utf8") from None
    content: Any = parse_json(text)
    if isinstance(content, Mapping) and isinstance(content.get("meters"), list):
        content = content["meters"]
    documents = content if isinstance(content, list) else [content]
    if not documents or not all(isinstance(each, Mapping) for each in documents):
        raise CommandFault(
            f'{file} must hold a meter, a list of meters, or an object with a list under "meters".',
            code="not_a_meter",
        )
    return documents
