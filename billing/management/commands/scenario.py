"""Play a story in a sandbox."""

from typing import Any

from django.core.management.base import CommandParser

from billing.management.commands.load_plans import read_json
from billing.scenarios.domain import StepFault, read_story
from billing.scenarios.services.play_story import play_story
from work.commands import SummitCommand


class Command(SummitCommand):
    help = (
        "Play a story with a clock of its own: tenants, usage, changes and payments go through the "
        "services that bill. Prints the documents, balances and subscriptions that come of it; "
        "keeps nothing. An impossible step is told with its place in the file."
    )
    always_json = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", help="JSON file, or - for stdin.")

    def handle(self, *args: Any, file: str, **options: Any) -> None:
        document = read_json(file)
        try:
            self.emit(play_story(story=read_story(document)))
        except StepFault as fault:
            error: dict[str, Any] = {
                "step": fault.step,
                "code": fault.code,
                "message": fault.message,
            }
            faults = getattr(fault.cause, "faults", ())
            if faults:
                error["faults"] = [
                    {"path": each.path, "code": each.code, "message": each.message}
                    for each in faults
                ]
            self.emit({"error": error}, failed=True)
