"""The base of every `manage.py` command of Summit: one JSON document, clear errors, exit status.

A command parses its options, makes one service call and ends with `emit(document)`::

    class Command(SummitCommand):
        help = "Close all days before a date."

        def add_arguments(self, parser):
            parser.add_argument("--until", type=date_argument, required=True)

        def handle(self, *args, **options):
            result = close_days(until=options["until"], now=clock.now())
            self.emit({"closed": result.closed}, failed=bool(result.rejected))

What it guarantees:

- `--json` prints exactly one JSON document on stdout, also for an error
  (``{"error": {"code", "message", "field"}}``), wrong use included; all else goes to stderr.
- Exit status 0: done. 1: a `DomainError`, no database, or `emit(..., failed=True)`.
  2: wrong use. 130: interrupted.
- Never a traceback for bad input; `--traceback` asks for one. A fault of the program itself
  does show its traceback.
"""

import errno
import json
import os
import sys
from argparse import ArgumentTypeError
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, NoReturn
from uuid import UUID

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import (
    DatabaseError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
    connections,
)
from django.utils.module_loading import import_string

from kernel.errors import DomainError

Document = Mapping[str, Any] | Sequence[Any]

_UNDEFINED_TABLE = "42P01"
_UNREADABLE = frozenset(
    {
        errno.ENOENT,
        errno.EISDIR,
        errno.ENOTDIR,
        errno.EACCES,
        errno.EPERM,
        errno.ENAMETOOLONG,
        errno.ELOOP,
    }
)
"""What is wrong with the name of a file rather than with the machine."""
_YEARS = range(1900, 3000)
"""Those in which periods are reckoned (`kernel.period`)."""
_INTERRUPTED_STATUS = 130


class CommandFault(CommandError):
    """A command ends with an error that its user can act on.

    `code` is stable, `returncode` is the exit status.
    """

    def __init__(
        self, message: str, *, code: str, field: str | None = None, returncode: int = 1
    ) -> None:
        super().__init__(message, returncode=returncode)
        self.code = code
        self.field = field

    def document(self) -> dict[str, Any]:
        """The error as `--json` prints it."""
        error: dict[str, Any] = {"code": self.code, "message": str(self)}
        if self.field is not None:
            error["field"] = self.field
        return {"error": error}


class WrongUse(CommandFault):
    """The options don't fit together or a file can't be read: exit status 2."""

    def __init__(self, message: str, *, code: str = "wrong_use", field: str | None = None) -> None:
        super().__init__(message, code=code, field=field, returncode=2)


class SummitCommand(BaseCommand):
    """See the module's text for what a subclass does and may rely on."""

    requires_database = True
    """Whether the database must be there and set up before `handle` runs."""

    # `make check` runs the system checks; a command need not pay a second for them each time.
    requires_system_checks = []

    always_json = False
    """Whether stdout is JSON also without `--json` (for `calculate` and `scenario`)."""

    _as_json = False
    _emitted = False
    _failed = False

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.add_argument(
            "--json",
            action="store_true",
            help="Print one JSON document on stdout; progress and messages go to stderr.",
        )
        return parser

    def emit(self, document: Document, *, text: str | None = None, failed: bool = False) -> None:
        """Print the result, once.

        `text` is what a person reads without `--json`; by default the document laid out in
        lines. With `failed` the exit status becomes 1: a check failed or items were rejected.
        """
        if self._emitted:
            raise RuntimeError("a command emits one document, this is its second")
        self._emitted = True
        self._failed = failed
        if self._as_json:
            self.stdout.write(self._encoded(document))
        else:
            self.stdout.write(plain_text(document) if text is None else text)

    def progress(self, message: str) -> None:
        """Tell a person how far the work is, on stderr."""
        self.stderr.write(message, style_func=str)
        self.stderr.flush()

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command; raises CommandFault for every error that its user can act on."""
        self._as_json = bool(options.get("json")) or self.always_json
        self._emitted = self._failed = False
        try:
            if self.requires_database:
                _ensure_database()
            super().execute(*args, **options)
        except DomainError as error:
            self._fail(CommandFault(error.message, code=error.code, field=error.field), cause=error)
        except CommandFault as error:
            self._fail(error, cause=error.__cause__)
        except CommandError as error:
            self._fail(
                CommandFault(str(error), code="command_failed", returncode=error.returncode),
                cause=error,
            )
        except OSError as error:
            if error.filename is None or error.errno not in _UNREADABLE:
                raise
            self._fail(
                WrongUse(f"{error.filename}: {error.strerror}", code="file_not_readable"),
                cause=error,
            )
        except (OperationalError, InterfaceError, ProgrammingError) as error:
            fault = _database_fault(error)
            if fault is None:
                raise
            self._fail(fault, cause=error)
        if self._failed:
            raise SystemExit(1)
        return None

    def run_from_argv(self, argv: list[str]) -> None:
        """As Django's, with the exit statuses of the module's text."""
        options = self._options(argv)
        self._called_from_command_line = True
        args = options.pop("args", ())
        try:
            self.execute(*args, **options)
            self.stdout.flush()
        except CommandFault as fault:
            if options["traceback"]:
                raise
            self._tell(fault)
            sys.exit(fault.returncode)
        except KeyboardInterrupt:
            self._interrupted()
        except BrokenPipeError:
            # The reader of a pipe went away, as `| head` does. Python would complain once more
            # while it flushes at exit, so stdout is pointed elsewhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        finally:
            with suppress(DatabaseError):
                connections.close_all()

    def _options(self, argv: list[str]) -> dict[str, Any]:
        """The options as given; wrong ones end the process with status 2."""
        # Not said to be called from the command line, the parser raises what argparse would print
        # itself, and there is a document to print as well.
        parser = self.create_parser(argv[0], argv[1])
        try:
            for argument in argv[2:]:
                if not _is_text(argument):
                    raise CommandError(f"the argument {ascii(argument)[:80]} is not UTF-8 text")
            return vars(parser.parse_args(argv[2:]))
        except CommandError as error:
            message = str(error).removeprefix("Error: ")
            parser.print_usage(sys.stderr)
            self.stderr.write(f"{parser.prog}: error: {message}", style_func=str)
            if self.always_json or "--json" in argv[2:]:
                self.stdout.write(self._encoded(WrongUse(message).document()))
            sys.exit(WrongUse(message).returncode)

    def _fail(self, fault: CommandFault, *, cause: BaseException | None) -> NoReturn:
        if self._as_json and not self._emitted:
            self._emitted = True
            self.stdout.write(self._encoded(fault.document()))
        raise fault from cause

    def _tell(self, fault: CommandFault) -> None:
        self.stderr.write(f"Error ({fault.code}): {fault}")

    def _interrupted(self) -> NoReturn:
        with suppress(BrokenPipeError):
            if self._as_json and not self._emitted:
                fault = CommandFault("Interrupted; run the command again.", code="interrupted")
                self.stdout.write(self._encoded(fault.document()))
            self.stderr.write("Interrupted.")
        sys.exit(_INTERRUPTED_STATUS)

    def _encoded(self, document: Document) -> str:
        encoding = (getattr(self.stdout, "encoding", None) or "utf-8").lower()
        return json.dumps(
            document,
            ensure_ascii=encoding not in {"utf-8", "utf8"},
            allow_nan=False,
            indent=2,
            default=_json_value,
        )


def date_argument(text: str) -> date:
    """An option of the form `2026-03-01`, for `add_argument(type=…)`."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a date; write it as 2026-03-01") from None
    if day.year not in _YEARS:
        raise ArgumentTypeError(f"{text!r} is not in the years {_YEARS[0]} to {_YEARS[-1]}")
    return day


def instant_argument(text: str) -> datetime:
    """An option of the form `2026-03-01T00:00:00+08:00` (or `Z`), for `add_argument(type=…)`."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise ArgumentTypeError(
            f"{text!r} is not an instant with an offset; write it as 2026-03-01T00:00:00+08:00"
        )
    # The first and last year stay free for other zones' days.
    if instant.year not in _YEARS[1:-1]:
        raise ArgumentTypeError(f"{text!r} is not in the years {_YEARS[1]} to {_YEARS[-2]}")
    return instant


def _is_text(argument: str) -> bool:
    try:
        argument.encode()
    except UnicodeEncodeError:  # bytes that are not UTF-8 come as halves of surrogate pairs
        return False
    return True


def plain_text(document: Any, *, indent: int = 0) -> str:
    """A document laid out in lines for a person."""
    margin = "  " * indent
    if isinstance(document, Mapping):
        lines = []
        for key, value in document.items():
            if _is_nested(value):
                lines.append(f"{margin}{key}:")
                lines.append(plain_text(value, indent=indent + 1))
            else:
                lines.append(f"{margin}{key}: {_scalar_text(value)}")
        return "\n".join(lines)
    if _is_nested(document):
        lines = []
        for value in document:
            if isinstance(value, Mapping) and not any(_is_nested(v) for v in value.values()):
                pairs = "  ".join(f"{k}={_scalar_text(v)}" for k, v in value.items())
                lines.append(f"{margin}- {pairs}")
            elif _is_nested(value):
                lines.append(f"{margin}-")
                lines.append(plain_text(value, indent=indent + 1))
            else:
                lines.append(f"{margin}- {_scalar_text(value)}")
        return "\n".join(lines)
    return f"{margin}{_scalar_text(document)}"


def _is_nested(value: Any) -> bool:
    return isinstance(value, Mapping | list | tuple) and bool(value)


def _scalar_text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, Mapping | list | tuple):
        return "none"
    return str(value)


def _json_value(value: Any) -> Any:
    """Plain JSON for the values that documents carry; a Decimal is a string, never a float."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    raise TypeError(f"{type(value).__name__} has no place in a JSON document")


def _ensure_database() -> None:
    """Call what the setting SUMMIT_ENSURE_DATABASE names; it brings the database up to date."""
    path = getattr(settings, "SUMMIT_ENSURE_DATABASE", None)
    if path:
        import_string(path)()


def _database_fault(error: DatabaseError | InterfaceError) -> CommandFault | None:
    """What a database error means to the user of a command, or None for a fault of the program."""
    sqlstate = getattr(error.__cause__, "pgcode", None)
    first_line = str(error).strip().split("\n", 1)[0]
    if isinstance(error, ProgrammingError):
        if sqlstate != _UNDEFINED_TABLE:
            return None
        return CommandFault(
            f"The database is not set up ({first_line}); run `manage.py setup_database`.",
            code="database_not_set_up",
        )
    if sqlstate is None:
        return CommandFault(
            f"The database cannot be reached: {first_line}. Check DATABASE_URL, or leave it "
            "unset to use the embedded one.",
            code="database_unavailable",
        )
    return CommandFault(
        f"The database gave up on this ({sqlstate}): {first_line}. Run the command again.",
        code="database_error",
    )
