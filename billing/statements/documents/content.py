"""What a printed statement says. Pure values; texts are literal and never markup."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from billing.invoicing.documents import Party
from billing.statements.domain.ageing import OpenItem
from billing.statements.domain.figures import Figures
from billing.statements.domain.tables import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTold:
    """A detail file that was read back: its rows, its size in bytes, its digest in hexadecimal."""

    name: str
    rows: int
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementDocument:
    """The whole content of a statement that was checked.

    `movements` are rows of the table of that name, as many as are printed. `made_at` also dates the file, so
    that equal content gives equal bytes.
    """

    reference: str
    language: str
    zone: str
    seller: Party
    buyer: Party
    made_at: datetime
    made_on: date
    first_day: date
    last_day: date
    figures: Figures
    movements: Sequence[Row]
    open_items: Sequence[OpenItem]
    files: Sequence[FileTold]
