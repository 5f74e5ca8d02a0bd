"""Make a statement: read figures and details at one instant, compare them, keep the files."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from billing.invoicing.documents import Party
from billing.invoicing.documents.content import PDF
from billing.statements.account_parties import issuer_for, recipient_of
from billing.statements.detail_files import KeptFile, compare_file, kept_file, write_details
from billing.statements.documents import FileTold, StatementDocument, render_statement
from billing.statements.domain.ageing import OpenItem, aged
from billing.statements.domain.figures import Difference, Figures, difference_in, told_figures
from billing.statements.domain.states import StatementState
from billing.statements.domain.tables import Row
from billing.statements.files.formats import PDF_NAME, detail_files
from billing.statements.ledger_figures import LedgerReader
from billing.statements.models import Statement, StatementFile, StatementFilePart
from billing.statements.rows import DetailReader, Mismatch
from kernel.ids import new_id, public_id
from kernel.period import Period, local_day
from tenants.scope import system_scope, tenant_snapshot
from work import outbox

Progress = Callable[[int, int], None]

_LOG: Final = logging.getLogger(__name__)
_PART_BYTES: Final = 4 * 1024 * 1024
_STEPS: Final = 11


def make_statement(
    *, statement_id: UUID, now: datetime, on_progress: Progress = lambda done, of: None
) -> StatementState:
    """Make the statement and give what became of it; opens its own scopes.

    Repeatable: until all files are kept in one transaction nothing is, and what is ready or failed stays.
    Where the ledger, the documents and the files don't say the same, it is kept as failed, with the first
    difference, which is an error in the log and the message `statement.failed` of the outbox.
    """
    with system_scope(purpose="make a statement"):
        row = Statement.objects.select_related("tenant").get(id=statement_id)
    if row.state != StatementState.REQUESTED:
        return StatementState(row.state)
    with TemporaryDirectory(prefix="statement-") as folder:
        made = _make(row, Path(folder), on_progress=on_progress)
        with system_scope(purpose="keep a statement"):
            kept = Statement.objects.select_for_update().get(id=statement_id)
            if kept.state != StatementState.REQUESTED:
                return StatementState(kept.state)
            if isinstance(made, Difference):
                _fail(kept, made, now=now)
            else:
                _keep(kept, made, now=now)
        return StatementState(kept.state)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """All that was read of the account at one instant."""

    figures: Figures
    open_items: Sequence[OpenItem]
    movements: Sequence[Row]
    mismatch: Mismatch | None
    issuer: Party
    recipient: Party


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    figures: Figures
    files: Sequence[KeptFile]


def _make(row: Statement, folder: Path, *, on_progress: Progress) -> _Made | Difference:
    with tenant_snapshot(row.tenant_id):
        read = _read(row, folder)
    on_progress(1, _STEPS)
    found = _mismatch(read) or difference_in(read.figures)
    if found is not None:
        return found
    kept, told = [], []
    for position, file in enumerate(detail_files(), start=2):
        compared = compare_file(file, folder, details=read.figures.details, currency=row.currency)
        if isinstance(compared, Difference):
            return compared
        kept.append(compared[0])
        told.append(compared[1])
        on_progress(position, _STEPS)
    path = folder / PDF_NAME
    path.write_bytes(render_statement(document=_document(row, read, told)))
    return _Made(figures=read.figures, files=[kept_file(path, media_type=PDF), *kept])


def _read(row: Statement, folder: Path) -> _Read:
    period = Period(row.starts_at, row.ends_at)
    ledger = LedgerReader(tenant_id=row.tenant_id, currency=row.currency, period=period)
    opening, movements, closing = ledger.receivable()
    reader = DetailReader(
        tenant_id=row.tenant_id,
        currency=row.currency,
        period=period,
        zone=ZoneInfo(row.timezone),
        opening=opening,
    )
    written = write_details(folder, reader, currency=row.currency, made_at=row.requested_at)
    items = ledger.open_items()
    return _Read(
        figures=Figures(
            currency=row.currency,
            opening=opening,
            movements=movements,
            closing=closing,
            open_items=aged(items, on=row.last_day, currency=row.currency),
            balance=ledger.balance(),
            billed=ledger.billed(),
            details=written.details,
        ),
        open_items=items,
        movements=written.printed,
        mismatch=reader.mismatch,
        issuer=issuer_for(tenant_id=row.tenant_id),
        recipient=recipient_of(row.tenant),
    )


def _mismatch(read: _Read) -> Difference | None:
    wrong = read.mismatch
    if wrong is None:
        return None
    told = "there is no such document" if wrong.told is None else f"it says {wrong.told}"
    return Difference(
        code="document_differs",
        detail=f"{wrong.kind} {wrong.document} was posted with {wrong.posted}; {told}.",
    )


def _document(row: Statement, read: _Read, files: Sequence[FileTold]) -> StatementDocument:
    zone = ZoneInfo(row.timezone)
    return StatementDocument(
        reference=public_id("stm", row.id),
        language=row.language,
        zone=row.timezone,
        seller=read.issuer,
        buyer=read.recipient,
        made_at=row.requested_at,
        made_on=local_day(row.requested_at, zone),
        first_day=row.starts_on,
        last_day=row.last_day,
        figures=read.figures,
        movements=read.movements,
        open_items=read.open_items,
        files=files,
    )


def _keep(row: Statement, made: _Made, *, now: datetime) -> None:
    for position, file in enumerate(made.files, start=1):
        stored = StatementFile.objects.create(
            id=new_id(),
            tenant_id=row.tenant_id,
            statement_id=row.id,
            position=position,
            name=file.name,
            media_type=file.media_type,
            size=file.size,
            sha256=file.sha256,
            created_at=now,
        )
        with file.path.open("rb") as source:
            number = 0
            while some := source.read(_PART_BYTES):
                number += 1
                StatementFilePart.objects.create(
                    tenant_id=row.tenant_id, file_id=stored.id, position=number, content=some
                )
    row.state, row.figures, row.finished_at = StatementState.READY, told_figures(made.figures), now
    row.save(update_fields=["state", "figures", "finished_at"])
    _tell(row, "statement.ready")


def _fail(row: Statement, found: Difference, *, now: datetime) -> None:
    row.state, row.finished_at = StatementState.FAILED, now
    row.failure_code, row.failure_detail = found.code, found.detail[:500]
    row.save(update_fields=["state", "failure_code", "failure_detail", "finished_at"])
    _LOG.error("statement %s of tenant %s: %s", row.id, row.tenant_id, found.detail)
    _tell(row, "statement.failed")


def _tell(row: Statement, topic: str) -> None:
    outbox.publish(
        topic=topic,
        key=str(row.id),
        payload={"statement_id": str(row.id), "tenant_id": str(row.tenant_id)},
        tenant_id=row.tenant_id,
    )
