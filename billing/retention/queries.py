"""What is kept how long, what is held, and what is gone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from billing.retention.domain import RecordKind, retained_until
from billing.retention.models import LegalHold, RemovedFile, RetentionRule
from work.connections import cursor


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleRow:
    """A rule; `country` "" is every other country, `years` None for ever."""

    country: str
    kind: RecordKind
    years: int | None
    basis: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldRow:
    """A legal hold; `lifted_at` None while it stands."""

    id: UUID
    tenant_key: str
    tenant_name: str
    reason: str
    set_by: str
    set_at: datetime
    lifted_by: str
    lifted_at: datetime | None
    lift_reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedRow:
    """A file that is gone."""

    tenant_key: str
    kind: str
    name: str
    issued_on: date
    retained_until: date
    removed_at: datetime
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long an invoice is kept: by which rule, until which day (None: for ever), and whether a legal hold keeps
    it beyond."""

    country: str
    basis: str
    until: date | None
    is_held: bool


def rule_rows() -> list[RuleRow]:
    """All rules, by country and kind; that of every other country first."""
    return [
        RuleRow(
            country=rule.country, kind=RecordKind(rule.kind), years=rule.years, basis=rule.basis
        )
        for rule in RetentionRule.objects.order_by("country", "kind")
    ]


def hold_rows(*, limit: int = 200) -> list[HoldRow]:
    """Holds that stand first, then the newest; in a cross-tenant scope."""
    found = LegalHold.objects.select_related("tenant").order_by("-lifted_at", "-set_at")
    rows = [
        HoldRow(
            id=hold.id,
            tenant_key=hold.tenant.key,
            tenant_name=hold.tenant.name,
            reason=hold.reason,
            set_by=hold.set_by,
            set_at=hold.set_at,
            lifted_by=hold.lifted_by,
            lifted_at=hold.lifted_at,
            lift_reason=hold.lift_reason,
        )
        for hold in found[:limit]
    ]
    return sorted(rows, key=lambda row: row.lifted_at is not None)


def removed_rows(*, limit: int, offset: int = 0) -> tuple[Sequence[RemovedRow], int]:
    """Files that are gone, the newest first, and how many there are; in a cross-tenant scope."""
    found = RemovedFile.objects.select_related("tenant").order_by("-removed_at", "-id")
    rows = [
        RemovedRow(
            tenant_key=row.tenant.key,
            kind=row.kind,
            name=row.name,
            issued_on=row.issued_on,
            retained_until=row.retained_until,
            removed_at=row.removed_at,
            sha256=bytes(row.sha256).hex(),
        )
        for row in found[offset : offset + limit]
    ]
    return rows, found.count()


def is_removed(*, tenant_id: UUID, document_id: UUID) -> bool:
    """Whether files of the document were removed; they are not made again."""
    return RemovedFile.objects.filter(tenant_id=tenant_id, document=document_id).exists()


def retention_of_invoice(*, invoice_id: UUID) -> Retention | None:
    """How long an issued invoice is kept; None of a draft. In a cross-tenant scope."""
    with cursor() as db:
        db.execute(
            """
            SELECT (i.issued_at AT TIME ZONE i.timezone)::date, rule.country, rule.years, rule.basis,
                   EXISTS (SELECT 1 FROM billing_legalhold h
                            WHERE h.tenant_id = i.tenant_id AND h.lifted_at IS NULL)
              FROM billing_invoice i
              JOIN billing_seller s ON s.code = i.seller_id
              JOIN LATERAL (
                   SELECT * FROM billing_retentionrule r
                    WHERE r.kind = 'voucher'
                      AND r.country IN ('', coalesce(nullif(i.issuer ->> 'country', ''), s.country))
                    ORDER BY r.country DESC LIMIT 1) rule ON true
             WHERE i.id = %s AND i.number IS NOT NULL
            """,
            [invoice_id],
        )
        row = db.fetchone()
    if row is None:
        return None
    issued_on, country, years, basis, is_held = row
    return Retention(
        country=country,
        basis=basis,
        until=retained_until(issued_on=issued_on, years=years),
        is_held=is_held,
    )
