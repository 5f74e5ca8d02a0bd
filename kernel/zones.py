"""IANA time zones by name, and the edition of the tables that tell of them."""

import zoneinfo
from functools import cache, lru_cache
from importlib import import_module
from pathlib import Path
from zoneinfo import ZoneInfo

from kernel.errors import Invalid

# Names that a zone database may hold and that are no place: the machine's own zone, and the
# copies that count leap seconds.
_NO_PLACES = frozenset({"localtime", "posixrules", "Factory"})
_NO_PLACE_FOLDERS = ("posix/", "right/")


@lru_cache(maxsize=1024)
def zone_named(name: str) -> ZoneInfo:
    """The zone of that name, always the same object. Raises Invalid `unknown_timezone`."""
    if name and name not in _NO_PLACES and not name.startswith(_NO_PLACE_FOLDERS):
        try:
            return ZoneInfo(name)
        # A name that is a folder, or no path at all, fails in its own ways.
        except (OSError, ValueError, LookupError):
            pass
    raise Invalid(
        "unknown_timezone",
        f"{name[:60]!r} is not an IANA time zone; write one such as Asia/Shanghai.",
        field="timezone",
    )


@cache
def zone_data_version() -> str:
    """The edition of the time zone tables in use, such as ``2026a``; empty where they don't tell.

    `zoneinfo` takes the system's tables, and those of the package ``tzdata`` where it has none.
    """
    for folder in map(Path, zoneinfo.TZPATH):
        if (folder / "UTC").is_file():
            return _edition(folder)
    try:
        return str(import_module("tzdata").IANA_VERSION)
    except (ImportError, AttributeError):
        return ""


def _edition(folder: Path) -> str:
    """As ``tzdata.zi`` begins, "# version 2026a", or as BSD writes it into a file of its own."""
    for name, prefix in (("tzdata.zi", "# version "), ("+VERSION", "")):
        try:
            with (folder / name).open(encoding="ascii", errors="replace") as file:
                first = file.readline().strip()
        except OSError:
            continue
        if first.startswith(prefix):
            return first.removeprefix(prefix)[:32]
    return ""
