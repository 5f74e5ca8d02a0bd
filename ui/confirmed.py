"""What a person confirms once: a form's id, signed for what it is about, so that sending twice does once."""

from uuid import UUID

from django.core.signing import BadSignature, Signer


def once_token(new_id: UUID, *, what: str) -> str:
    """The id under which a form acts, signed for `what` it does and to whom."""
    return Signer(salt=f"once: {what}").sign(str(new_id))


def once_id(token: str, *, what: str) -> UUID | None:
    """The id that `once_token` signed; None for any other text."""
    try:
        return UUID(Signer(salt=f"once: {what}").unsign(token))
    except (BadSignature, ValueError):
        return None
