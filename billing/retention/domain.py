"""How long what is kept. Pure."""

from datetime import date
from enum import StrEnum

from kernel.errors import Invalid


class RecordKind(StrEnum):
    """What the law tells apart: vouchers are invoices, credit notes and fapiao; books are the journal and
    statements of account."""

    VOUCHER = "voucher"
    BOOKS = "books"
    ANNUAL_REPORT = "annual_report"


class FileKind(StrEnum):
    """The files that go once nothing keeps them."""

    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"
    FAPIAO = "fapiao"
    STATEMENT = "statement"


MOST_YEARS = 200


def retained_until(*, issued_on: date, years: int | None) -> date | None:
    """The last day on which it must be kept: the end of the year of issue and so many years more. None:
    for ever."""
    return None if years is None else date(issued_on.year + years, 12, 31)


def check_raised(*, before: int | None, after: int | None) -> None:
    """A rule only gets longer; None is for ever. Raises Invalid `retention_lowered`, `retention_too_long`."""
    if after is not None and (before is None or after < before):
        raise Invalid(
            "retention_lowered",
            "Retention only gets longer; write at least as many years as now, or none for ever.",
            field="years",
        )
    if after is not None and after > MOST_YEARS:
        raise Invalid(
            "retention_too_long",
            f"Retention is at most {MOST_YEARS} years; leave the years empty for ever.",
            field="years",
        )
