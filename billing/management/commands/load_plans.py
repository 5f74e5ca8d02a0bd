"""Load plans from a JSON file into the catalogue."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from billing.catalog.services import load_plans
from kernel import clock
from kernel.documents import parse_json
from kernel.errors import DomainError
from metering.queries import known_meters
from tenants.scope import system_scope
from work.commands import CommandFault, SummitCommand, WrongUse


class Command(SummitCommand):
    help = (
        'Load plans (one plan, a list of plans, or an object with a list under "plans") as new '
        "versions where they differ from the latest. A wrong plan is refused with all its faults, "
        "and nothing is loaded."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", help="JSON file, or - for stdin.")

    def handle(self, *args: Any, file: str, **options: Any) -> None:
        documents = _read(file)
        try:
            with system_scope(purpose="load plans", actor="command"):
                loaded = load_plans(
                    documents=documents,
                    known_meters=known_meters(),
                    now=clock.now(),
                    actor="command:load_plans",
                )
        except DomainError as error:
            faults = getattr(error, "faults", None)
            if not faults:
                raise
            self.emit(
                {
                    "error": {"code": error.code, "message": error.message},
                    "faults": [
                        {"path": fault.path, "code": fault.code, "message": fault.message}
                        for fault in faults
                    ],
                },
                failed=True,
            )
            return
        self.emit(
            {
                "plans": [
                    {"key": each.key, "version": each.version, "created": each.created}
                    for each in loaded
                ]
            }
        )


def read_json(file: str) -> Any:
    """The JSON of a file, or of stdin for "-"; a number with decimals stays one, which the
    document's own check refuses by its place. Raises WrongUse `not_utf8`, Invalid as `parse_json`."""
    try:
        text = (
            sys.stdin.buffer.read().decode("utf-8-sig")
            if file == "-"
            else Path(file).read_text(encoding="utf-8-sig")
        )
    except UnicodeDecodeError:
        raise WrongUse(f"{file} is not UTF-8 text.", code="not_utf8") from None
    parse_json(text)  # refuses what would be guessed at: a key that stands twice, NaN, huge numbers
    return json.loads(text)


def _read(file: str) -> Sequence[Mapping[str, Any]]:
    content = read_json(file)
    if isinstance(content, Mapping) and isinstance(content.get("plans"), list):
        content = content["plans"]
    documents = content if isinstance(content, list) else [content]
    if not documents or not all(isinstance(each, Mapping) for each in documents):
        raise CommandFault(
            f'{file} must hold a plan, a list of plans, or an object with a list under "plans".',
            code="not_a_plan",
        )
    return documents
