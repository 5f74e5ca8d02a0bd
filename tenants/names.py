"""Names that people give to tenants, apps and persons: shown everywhere, never an identity."""

import re
from typing import Final

from kernel.errors import Invalid

LONGEST: Final = 200
# What moves other text about or is not to be seen: control characters, half surrogate pairs, and the
# marks that turn the direction of the text around them.
_UNSHOWN: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)


def check_name(text: str, *, field: str) -> str:
    """The name without blanks around it, maybe empty. Raises Invalid `invalid_name`."""
    name = text.strip()
    if len(name) > LONGEST or _UNSHOWN.search(name):
        raise Invalid(
            "invalid_name",
            f"{field} must be a line of at most {LONGEST} characters, without control characters.",
            field=field,
        )
    return name
