"""The words of statements."""

from enum import StrEnum


class StatementState(StrEnum):
    """Asked for, kept with its files, or kept as failed with the reason."""

    REQUESTED = "requested"
    READY = "ready"
    FAILED = "failed"


class StatementOrigin(StrEnum):
    """Somebody asked for it, or it comes each month."""

    ASKED = "asked"
    MONTHLY = "monthly"


class DetailTable(StrEnum):
    """The tables behind the figures, in the order in which they are written."""

    MOVEMENTS = "movements"
    BALANCE = "balance"
    LINES = "lines"
    DAYS = "days"


class MovementKind(StrEnum):
    """What has a document of its own; other kinds of the journal keep their name."""

    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"
    PAYMENT = "payment"
    BALANCE_DRAW = "balance_draw"
