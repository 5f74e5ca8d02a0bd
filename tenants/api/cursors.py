"""Cursors of lists: where a page begins, signed, so that only our own ones are taken."""

from dataclasses import dataclass
from uuid import UUID

from django.core.signing import BadSignature, Signer

from kernel.errors import Invalid


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursors:
    """The cursors of one list of one tenant; another list or tenant does not take them."""

    list_name: str
    tenant_id: UUID

    @property
    def _signer(self) -> Signer:
        return Signer(salt=f"api cursor {self.list_name} {self.tenant_id}", sep=".")

    def cursor(self, position: str) -> str:
        """The cursor of the page that begins after `position`."""
        return self._signer.sign_object([position])

    def position(self, cursor: str | None) -> str:
        """The position in a cursor; empty without one. Raises Invalid `invalid_cursor`."""
        if cursor is None:
            return ""
        try:
            (position,) = self._signer.unsign_object(cursor)
        except (BadSignature, ValueError):
            raise Invalid(
                "invalid_cursor",
                "cursor is not one that this list gave; send `next` as it was, or leave it out.",
                field="cursor",
            ) from None
        return str(position)
