"""Statements as people see them: asked for, ready, failed; and their files."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from billing.ledger.domain import BALANCE_ACCOUNTS, Account
from billing.ledger.models import JournalEntry
from billing.statements.domain.ageing import AgeBucket
from billing.statements.domain.states import DetailTable, StatementOrigin, StatementState
from billing.statements.models import (
    MonthlyStatement,
    Statement,
    StatementFile,
    StatementFilePart,
)
from kernel.errors import NotFound
from kernel.money import Money
from tenants.scope import tenant_scope


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRow:
    """A file of a statement; `sha256` is in hexadecimal, `size` in bytes."""

    id: UUID
    name: str
    media_type: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementRow:
    """One statement; `last_day` is the last local day of its period. `opening` and `closing` are there once
    it is ready, `failure` where it failed."""

    id: UUID
    tenant_key: str
    tenant_name: str
    currency: str
    first_day: date
    last_day: date
    ends_on: date
    timezone: str
    origin: StatementOrigin
    state: StatementState
    requested_at: datetime
    finished_at: datetime | None
    opening: Money | None
    closing: Money | None
    failure_code: str
    failure: str
    figures: Mapping[str, Any] | None
    files: Sequence[FileRow]

    @property
    def printed(self) -> FileRow | None:
        """The PDF."""
        return next((file for file in self.files if file.name.endswith(".pdf")), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementPage:
    """Some rows of all that there are."""

    rows: Sequence[StatementRow]
    total: int


def statement_rows(
    *,
    tenant_id: UUID | None = None,
    tenant_key: str = "",
    state: StatementState | None = None,
    limit: int,
    offset: int = 0,
) -> StatementPage:
    """Statements of the scope, the newest first."""
    found = Statement.objects.all()
    if tenant_id is not None:
        found = found.filter(tenant_id=tenant_id)
    if tenant_key:
        found = found.filter(tenant__key=tenant_key)
    if state is not None:
        found = found.filter(state=state)
    page = _shown(found).order_by("-requested_at", "-id")[offset : offset + limit]
    return StatementPage(rows=[_row(row) for row in page], total=found.count())


def statement_page(*, tenant_id: UUID, after: UUID | None, limit: int) -> list[StatementRow]:
    """Up to `limit` of the tenant's statements, newest first, those after the statement `after`."""
    found = Statement.objects.filter(tenant_id=tenant_id)
    if after is not None:
        found = found.filter(id__lt=after)
    return [_row(row) for row in _shown(found).order_by("-id")[:limit]]


def statement_of(*, statement_id: UUID, tenant_id: UUID | None = None) -> StatementRow:
    """One statement. Raises NotFound `statement_not_found`."""
    found = Statement.objects.filter(id=statement_id)
    if tenant_id is not None:
        found = found.filter(tenant_id=tenant_id)
    row = _shown(found).first()
    if row is None:
        raise _not_found()
    return _row(row)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementDownload:
    """A file to hand out: what it is, and of what parts."""

    tenant_id: UUID
    file: FileRow
    filename: str
    part_ids: Sequence[UUID]

    def parts(self) -> Iterator[bytes]:
        """Its bytes, a few million at a time; opens a scope for each part, so it must begin outside one.

        Raises RuntimeError before the last part where they are not the bytes that were kept.
        """
        digest = hashlib.sha256()
        for position, part_id in enumerate(self.part_ids, start=1):
            with tenant_scope(self.tenant_id):
                content = bytes(
                    StatementFilePart.objects.values_list("content", flat=True).get(id=part_id)
                )
            digest.update(content)
            if position == len(self.part_ids) and digest.hexdigest() != self.file.sha256:
                raise RuntimeError(f"the file {self.filename} was changed")
            yield content


def statement_file(
    *, statement_id: UUID, name: str, tenant_id: UUID | None = None
) -> StatementDownload:
    """A file of a statement that is ready. Raises NotFound `statement_not_found`."""
    found = StatementFile.objects.select_related("statement").filter(
        statement_id=statement_id, name=name
    )
    if tenant_id is not None:
        found = found.filter(tenant_id=tenant_id)
    row = found.first()
    if row is None:
        raise _not_found()
    of = row.statement
    return StatementDownload(
        tenant_id=row.tenant_id,
        file=_file(row),
        filename=f"statement-{of.currency}-{of.starts_on}-to-{of.last_day}-{name}",
        part_ids=list(
            StatementFilePart.objects.filter(tenant_id=row.tenant_id, file_id=row.id)
            .order_by("position")
            .values_list("id", flat=True)
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownStatement:
    """A statement's figures as amounts, for a page."""

    opening: Money
    movements: Sequence[tuple[str, int, Money]]
    closing: Money
    ages: Sequence[tuple[str, Money]]
    balance: Sequence[tuple[str, Money, Money, Money]]
    billed: Money
    lines: int
    details: Sequence[tuple[str, int]]


def shown_figures(row: StatementRow) -> ShownStatement | None:
    """The figures of a statement that is ready."""
    told = row.figures
    if told is None:
        return None

    def amount(text: str) -> Money:
        return Money.of(text, row.currency)

    return ShownStatement(
        opening=amount(told["opening"]),
        movements=[
            (each["kind"], each["count"], amount(each["amount"])) for each in told["movements"]
        ],
        closing=amount(told["closing"]),
        ages=[(age, amount(told["open_items"][age])) for age in AgeBucket],
        balance=[
            (
                each["kind"],
                amount(each["opening"]),
                amount(each["movements"]),
                amount(each["closing"]),
            )
            for each in told["balance"]
        ],
        billed=amount(told["billed"]["amount"]),
        lines=told["details"][DetailTable.LINES]["rows"],
        details=[(table, told["details"][table]["rows"]) for table in DetailTable],
    )


def account_currencies(*, tenant_id: UUID) -> list[str]:
    """The currencies in which anything moved the tenant's account or balance."""
    accounts = [Account.RECEIVABLE, *BALANCE_ACCOUNTS.values()]
    return list(
        JournalEntry.objects.filter(tenant_id=tenant_id, account__in=accounts)
        .values_list("currency", flat=True)
        .distinct()
        .order_by("currency")
    )


def gets_monthly_statements(*, tenant_id: UUID) -> bool:
    """Whether the tenant gets one each month."""
    return MonthlyStatement.objects.filter(tenant_id=tenant_id).exists()


def _not_found() -> NotFound:
    return NotFound("statement_not_found", "There is no such statement.", field="statement")


def _shown(found: QuerySet[Statement]) -> QuerySet[Statement]:
    return found.select_related("tenant").prefetch_related("files")


def _row(row: Statement) -> StatementRow:
    figures: Mapping[str, Any] | None = row.figures
    files = sorted(row.files.all(), key=lambda file: file.position)
    return StatementRow(
        id=row.id,
        tenant_key=row.tenant.key,
        tenant_name=row.tenant.name,
        currency=row.currency,
        first_day=row.starts_on,
        last_day=row.last_day,
        ends_on=row.ends_on,
        timezone=row.timezone,
        origin=StatementOrigin(row.origin),
        state=StatementState(row.state),
        requested_at=row.requested_at,
        finished_at=row.finished_at,
        opening=Money.of(figures["opening"], row.currency) if figures else None,
        closing=Money.of(figures["closing"], row.currency) if figures else None,
        failure_code=row.failure_code,
        failure=row.failure_detail,
        figures=figures,
        files=[_file(file) for file in files],
    )


def _file(row: StatementFile) -> FileRow:
    return FileRow(
        id=row.id,
        name=row.name,
        media_type=row.media_type,
        size=row.size,
        sha256=bytes(row.sha256).hex(),
    )
