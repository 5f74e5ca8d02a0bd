"""What the domain refuses, and why.

Every refusal carries a stable `code` (snake_case) that interfaces map to a status and a
translated message, and an English `message` that names the field, the fault and the mend.
The class tells the kind of the refusal; the code tells the case.
"""

from collections.abc import Mapping
from typing import Any


class DomainError(Exception):
    """A refusal that the caller can act on.

    `field` is the path of what was wrong in the caller's input ("prices[1].tiers[0].up_to"),
    `params` holds the values that a translated message needs.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        field: str | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field
        self.params: Mapping[str, Any] = {} if params is None else params

    def __str__(self) -> str:
        return self.message


class Invalid(DomainError):
    """The input is wrong in itself; the same input will never be accepted."""


class NotFound(DomainError):
    """What was named doesn't exist, or the caller may not know that it does."""


class Conflict(DomainError):
    """The input is well formed but doesn't fit the present state."""


class Forbidden(DomainError):
    """The caller is known and may not do this."""


class Unavailable(DomainError):
    """Something outside didn't answer; the same call may succeed later."""
