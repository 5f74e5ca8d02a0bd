"""Play a story in a sandbox."""

from typing import Any

from django.core.management.base import CommandParser

from billing.management.commands.load_plans import read_json
from billing.scenarios.domain.reading import read_story
from billing.scenarios.domain.steps import StepFault
from billing.scenarios.services.play_story import play_story
from work.commands import SummitCommand


class Command(SummitCommand):
    help = (
        "Play a story with a clock of its own: tenants, usage, changes and payments go through the "
        "services that bill. Prints the documents, balances and subscriptions that come of it; "
        "keeps nothing. An impossible step is told with its place in the story. A list of stories "
        "is played one by one, each in a world of its own, and gives the list of their results."
    )
    always_json = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", help="JSON file, or - for stdin.")

    def handle(self, *args: Any, file: str, **options: Any) -> None:
        document = read_json(file)
        if isinstance(document, list):
            results = [_result(story) for story in document]
            self.emit(results, failed=any("error" in each for each in results))
        else:
            result = _result(document)
            self.emit(result, failed="error" in result)


def _result(document: object) -> dict[str, Any]:
    """What came of the story, or at which step it could not go on and why."""
    try:
        return play_story(story=read_story(document))
    except StepFault as fault:
        error: dict[str, Any] = {"step": fault.step, "code": fault.code, "message": fault.message}
        faults = getattr(fault.cause, "faults", ())
        if faults:
            error["faults"] = [
                {"path": each.path, "code": each.code, "message": each.message} for each in faults
            ]
        return {"error": error}
