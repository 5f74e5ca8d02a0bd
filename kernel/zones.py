"""IANA time zones by name."""

from functools import lru_cache
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
