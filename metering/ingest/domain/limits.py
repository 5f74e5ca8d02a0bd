"""Bounds of what is taken in. Sizes and ages are the contract's; the others keep rows small."""

from datetime import UTC, datetime, timedelta
from typing import Final

MOST_EVENTS: Final = 10_000
MOST_WIRE_BYTES: Final = 5 * 1024 * 1024
MOST_INFLATED_BYTES: Final = 64 * 1024 * 1024
MOST_EVENT_BYTES: Final = 64 * 1024
MOST_DEPTH: Final = 20

OLDEST: Final = timedelta(days=35)
FURTHEST_AHEAD: Final = timedelta(minutes=5)
FIRST_INSTANT: Final = datetime(1970, 1, 1, tzinfo=UTC)
LAST_INSTANT: Final = datetime(2200, 1, 1, tzinfo=UTC)
"""Times of imports, whose age is not checked, still lie between these."""

LONGEST_ID: Final = 200
LONGEST_SOURCE: Final = 200
LONGEST_TYPE: Final = 100
LONGEST_SUBJECT: Final = 100
LONGEST_USER: Final = 256
LONGEST_KIND: Final = 64
MOST_COUNT: Final = 1_000_000_000
