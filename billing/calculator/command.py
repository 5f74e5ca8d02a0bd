"""`calculate` on the command line: a file or stdin in, one JSON list on stdout.

Apart from Django, whose start takes longer than the sums; `manage.py` comes here directly.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from billing.calculator.cases import answer, read_cases
from kernel.errors import Invalid

DONE: Final = 0
SOME_REFUSED: Final = 1
WRONG_USE: Final = 2
_INTERRUPTED: Final = 130


class Output(Protocol):
    """Where the answers go."""

    def write(self, text: str, /) -> object: ...
    def flush(self) -> object: ...


HELP: Final = (
    "Rate single cases: prices, billing periods, proration, aggregation, invoices, allocation. "
    "Reads one JSON object or a list of them, prints a list in the same order. Needs no database."
)


def main(arguments: Sequence[str]) -> int:
    """Read, answer, print; the exit status: 0 done, 1 some cases were refused, 2 no cases there."""
    parser = argparse.ArgumentParser(prog="manage.py calculate", description=HELP)
    add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="Accepted; the output is always JSON.")
    try:
        return calculate(parser.parse_args(arguments).file, to=sys.stdout)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe went away. Python would complain once more while it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SOME_REFUSED


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "file", nargs="?", default="-", help="JSON file; - or nothing reads standard input."
    )


def calculate(file: str, *, to: Output) -> int:
    """Answer the cases of the file, one a line, each as soon as it is worked out.

    Answers the exit status. The text is ASCII, so that any terminal and any pipe takes it.
    """
    try:
        cases = read_cases(sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes())
    except OSError as error:
        return _refuse("file_not_readable", f"{file}: {error.strerror}", to=to)
    except ValueError:
        return _refuse("file_not_readable", "The name of the file holds a null character.", to=to)
    except Invalid as refusal:
        return _refuse(refusal.code, refusal.message, to=to)
    status = DONE
    separator = "["
    # The last case first out of the list, so that what is answered needs no memory any longer.
    cases.reverse()
    while cases:
        answered = answer(cases.pop())
        if "error" in answered:
            status = SOME_REFUSED
        to.write(f"{separator}\n{json.dumps(answered, allow_nan=False)}")
        separator = ","
    to.write("[]\n" if separator == "[" else "\n]\n")
    to.flush()
    return status


def _refuse(code: str, message: str, *, to: Output) -> int:
    to.write(json.dumps({"error": {"code": code, "message": message}}) + "\n")
    to.flush()
    return WRONG_USE
