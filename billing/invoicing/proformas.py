"""Pro-formas as screens and API show them. Each query runs inside the caller's scope."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from billing.invoicing.models import Proforma
from kernel.errors import Conflict, NotFound
from kernel.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class ProformaRow:
    """One pro-forma, without its bytes; `sha256` is their hexadecimal digest, "" while it is being made."""

    id: UUID
    reference: str
    charge_id: UUID | None
    total: Money
    language: str
    valid_until: date
    created_by: str
    created_at: datetime
    sha256: str

    @property
    def is_printed(self) -> bool:
        return self.sha256 != ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProformaPage:
    """Some pro-formas, newest first, and how many there are."""

    rows: Sequence[ProformaRow]
    total: int

    @property
    def is_being_made(self) -> bool:
        """Whether one of the rows waits for its paper."""
        return not all(row.is_printed for row in self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProformaFile:
    """The paper to hand out."""

    reference: str
    content: bytes
    sha256: str

    @property
    def filename(self) -> str:
        return f"{self.reference}.pdf"


def proforma_rows(
    *, tenant_id: UUID, charge_id: UUID | None = None, limit: int, offset: int = 0
) -> ProformaPage:
    """The tenant's, or those of one charge."""
    found = Proforma.objects.filter(tenant_id=tenant_id)
    if charge_id is not None:
        found = found.filter(charge_id=charge_id)
    rows = found.defer("content", "paper").order_by("-created_at", "-id")
    return ProformaPage(
        rows=tuple(_row(row) for row in rows[offset : offset + limit]), total=found.count()
    )


def proforma_file(*, proforma_id: UUID, tenant_id: UUID | None = None) -> ProformaFile:
    """The bytes as they were rendered. Raises NotFound `proforma_not_found`, Conflict
    `proforma_being_made` before its job made them, RuntimeError where they are not those that were stored."""
    found = Proforma.objects.filter(id=proforma_id)
    if tenant_id is not None:
        found = found.filter(tenant_id=tenant_id)
    row = found.first()
    if row is None:
        raise NotFound("proforma_not_found", "There is no such pro-forma.", field="proforma")
    if row.content is None or row.sha256 is None:
        raise Conflict(
            "proforma_being_made",
            "The paper is being made; it is there in a moment.",
            field="proforma",
        )
    content = bytes(row.content)
    digest = hashlib.sha256(content)
    if digest.digest() != bytes(row.sha256):
        raise RuntimeError(f"the stored pro-forma {row.reference} was changed")
    return ProformaFile(reference=row.reference, content=content, sha256=digest.hexdigest())


def _row(row: Proforma) -> ProformaRow:
    return ProformaRow(
        id=row.id,
        reference=row.reference,
        charge_id=row.charge_id,
        total=Money(row.total_minor, row.currency),
        language=row.language,
        valid_until=row.valid_until,
        created_by=row.created_by,
        created_at=row.created_at,
        sha256="" if row.sha256 is None else bytes(row.sha256).hex(),
    )
