"""Mails as people see them, and who gets a tenant's documents."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet

from billing.mailing.domain import TROUBLED, UNDER_WAY, MailState
from billing.mailing.models import DocumentMail, MailPreference
from tenants.domain import Role
from tenants.models import Member, Tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class MailRow:
    """One document to one address; it is an invoice or a credit note. `at` is when it came into its state; `failure` is a code with the
    server's words."""

    id: UUID
    tenant_key: str
    tenant_name: str
    invoice_id: UUID | None
    credit_note_id: UUID | None
    number: str
    address: str
    state: MailState
    copy: int
    attempts: int
    planned_at: datetime
    sent_at: datetime | None
    at: datetime
    failure_code: str
    failure_detail: str

    @property
    def can_be_sent_again(self) -> bool:
        return self.state not in UNDER_WAY

    @property
    def wants_a_person(self) -> bool:
        return self.state in TROUBLED


@dataclass(frozen=True, slots=True, kw_only=True)
class MailPage:
    """Some rows of all that there are."""

    rows: Sequence[MailRow]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipients:
    """What a tenant said, and to whom its next document goes."""

    is_on: bool
    to_members: bool
    addresses: Sequence[str]
    billing_address: str
    members: Sequence[str]

    @property
    def all(self) -> list[str]:
        """Each once, however it is spelt."""
        of_members = self.members if self.to_members else ()
        given = [self.billing_address, *self.addresses, *of_members]
        return list({each.lower(): each for each in reversed(given) if each}.values())[::-1]


def mails_of_invoice(*, tenant_id: UUID, invoice_id: UUID, limit: int = 50) -> list[MailRow]:
    """The mails of an invoice, by address, in the caller's scope."""
    found = DocumentMail.objects.filter(tenant_id=tenant_id, invoice_id=invoice_id)
    return [_row(row) for row in _related(found).order_by("address")[:limit]]


def mails_of_credit_note(
    *, tenant_id: UUID, credit_note_id: UUID, limit: int = 50
) -> list[MailRow]:
    """The mails of a credit note, by address, in the caller's scope."""
    found = DocumentMail.objects.filter(tenant_id=tenant_id, credit_note_id=credit_note_id)
    return [_row(row) for row in _related(found).order_by("address")[:limit]]


def first_sent(mails: Sequence[MailRow]) -> datetime | None:
    """When the first of them left, if one did."""
    return min((each.sent_at for each in mails if each.sent_at is not None), default=None)


def mail_rows(*, state: str, limit: int, offset: int = 0) -> MailPage:
    """Mails of all tenants, the newest first; `state` is a MailState, "troubled" or "" for all."""
    found: QuerySet[DocumentMail] = DocumentMail.objects.all()
    if state == "troubled":
        found = found.filter(state__in=TROUBLED)
    elif state:
        found = found.filter(state=state)
    rows = _related(found).order_by("-planned_at", "-id")[offset : offset + limit]
    return MailPage(rows=[_row(row) for row in rows], total=found.count())


def recipients_of(*, tenant_id: UUID) -> Recipients:
    """Who gets the tenant's documents, in the caller's scope."""
    said = MailPreference.objects.filter(tenant_id=tenant_id).first() or MailPreference()
    return Recipients(
        is_on=said.is_on,
        to_members=said.to_members,
        addresses=list(said.addresses),
        billing_address=Tenant.objects.values_list("billing_email", flat=True).get(id=tenant_id),
        members=list(
            Member.objects.filter(tenant_id=tenant_id, role=Role.BILLING, user__is_active=True)
            .order_by("user__email")
            .values_list("user__email", flat=True)
        ),
    )


def _related(found: QuerySet[DocumentMail]) -> QuerySet[DocumentMail]:
    return found.select_related("tenant", "invoice", "credit_note").defer(
        "invoice__issuer", "invoice__buyer", "credit_note__issuer", "credit_note__buyer"
    )


def _row(row: DocumentMail) -> MailRow:
    return MailRow(
        id=row.id,
        tenant_key=row.tenant.key,
        tenant_name=row.tenant.name,
        invoice_id=row.invoice_id,
        credit_note_id=row.credit_note_id,
        number=str(row.document.number),
        address=row.address,
        state=MailState(row.state),
        copy=row.copy,
        attempts=row.attempts,
        planned_at=row.planned_at,
        sent_at=row.sent_at,
        at=row.concluded_at or row.sent_at or row.planned_at,
        failure_code=row.failure_code,
        failure_detail=row.failure_detail,
    )
