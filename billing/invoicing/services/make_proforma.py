"""Make a pro-forma: what an invoice will ask for, told beforehand and kept; a job prints it. It posts nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from billing.invoicing.charges.domain import text_in
from billing.invoicing.charges.queries import charge_detail
from billing.invoicing.contracts import SELLER
from billing.invoicing.documents import DocumentLine, InvoiceDocument
from billing.invoicing.documents.content import TaxLine
from billing.invoicing.documents.render import document_texts
from billing.invoicing.documents.words import document_language
from billing.invoicing.documents.working import working_text
from billing.invoicing.issuer import issuer_as_it_stands
from billing.invoicing.line_taxes import tax_sums
from billing.invoicing.listings import LineRow
from billing.invoicing.models import Proforma, Seller
from billing.invoicing.services.preview_next_invoice import preview_next_invoices
from billing.invoicing.services.print_invoice import buyer_party, payment_text, seller_party
from billing.invoicing.services.print_proforma import KIND as PRINT
from billing.parties.queries import profile_of, recipient_of
from kernel import ids
from kernel.errors import Conflict, Invalid, NotFound
from kernel.money import Money, total
from kernel.period import Period, local_day
from kernel.zones import zone_named
from tenants import audit
from tenants.models import Tenant
from work.jobs import enqueue

MOST_DAYS: Final = 365
USUAL_DAYS: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What the paper tells; `plan_names` by language where a plan is billed."""

    period: Period
    lines: Sequence[LineRow]
    tax: Money
    total: Money
    plan_names: Mapping[str, str]


def make_proforma(
    *,
    tenant_id: UUID,
    charge_id: UUID | None = None,
    subscription_id: UUID | None = None,
    valid_until: date,
    language: str = "",
    now: datetime,
    actor: str,
    proforma_id: UUID | None = None,
) -> UUID:
    """Keep what a draft charge, or a subscription's next invoice, comes to now, and ask for the job that prints
    it, in the caller's scope; gives the pro-forma's id. `language` is the tenant's unless given. With a `proforma_id`, made when the form was, the
    same form sent twice makes one.

    Raises NotFound `charge_not_found`, `tenant_not_found`; Conflict `charge_concluded`, `nothing_to_tell` where
    nothing would be billed; Invalid `valid_until` unless that is within a year from today.
    """
    tenant = Tenant.objects.filter(id=tenant_id).first()
    if tenant is None:
        raise NotFound("tenant_not_found", "There is no such tenant.", field="tenant")
    if proforma_id is not None:
        known = Proforma.objects.filter(tenant_id=tenant_id, id=proforma_id).first()
        if known is not None:
            return known.id
    zone = zone_named(tenant.timezone)
    today = local_day(now, zone)
    if not today <= valid_until <= today + timedelta(days=MOST_DAYS):
        raise Invalid(
            "valid_until",
            f"valid_until is not from today to {MOST_DAYS} days ahead.",
            field="valid_until",
        )
    if charge_id is not None:
        told = _of_charge(tenant_id, charge_id, now=now)
    else:
        told = _of_subscription(tenant_id, subscription_id, now=now)
    row_id = proforma_id or ids.new_id()
    reference = f"PF-{today:%Y%m%d}-{row_id.hex[-8:].upper()}"
    written_in = document_language(language or tenant.language)
    document = _document(
        told,
        tenant,
        reference=reference,
        valid_until=valid_until,
        language=written_in,
        zone=zone,
        now=now,
    )
    Proforma.objects.bulk_create(
        [
            Proforma(
                id=row_id,
                tenant=tenant,
                reference=reference,
                charge_id=charge_id,
                subscription_id=subscription_id,
                currency=told.total.currency,
                tax_minor=told.tax.minor,
                total_minor=told.total.minor,
                language=written_in,
                valid_until=valid_until,
                paper=document_texts(document),
                created_by=actor[:200],
                created_at=now,
            )
        ],
        ignore_conflicts=True,  # the same form, twice at once
    )
    enqueue(
        kind=PRINT,
        key=str(row_id),
        payload={"proforma_id": str(row_id)},
        tenant_id=tenant_id,
        requested_by=actor,
    )
    audit.record(
        audit.Entry(
            tenant_id=tenant_id,
            actor=actor,
            action="proforma.made",
            target=f"proforma:{reference}",
            after={"total": f"{told.total}", "valid_until": valid_until.isoformat()},
        ),
        now=now,
    )
    return row_id


def _of_charge(tenant_id: UUID, charge_id: UUID, *, now: datetime) -> _Told:
    detail = charge_detail(charge_id=charge_id, now=now, tenant_id=tenant_id)
    if detail.charge.state != "draft":
        raise Conflict(
            "charge_concluded",
            "This was issued, or came to nothing; it is a draft no more.",
            field="charge",
        )
    if detail.preview is None or not detail.preview.subtotal:
        raise _nothing()
    lines = detail.preview.lines
    return _Told(
        period=Period(
            min(line.period.starts_at for line in lines), max(line.period.ends_at for line in lines)
        ),
        lines=lines,
        tax=detail.preview.tax,
        total=detail.preview.total,
        plan_names={},
    )


def _of_subscription(tenant_id: UUID, subscription_id: UUID | None, *, now: datetime) -> _Told:
    for each in preview_next_invoices(tenant_id=tenant_id, now=now):
        if each.subscription_id == subscription_id and each.total.minor > 0:
            return _Told(
                period=each.period,
                lines=each.lines,
                tax=each.tax,
                total=each.total,
                plan_names=each.plan_document["name"],
            )
    raise _nothing()


def _nothing() -> Conflict:
    return Conflict(
        "nothing_to_tell", "Nothing would be billed there, so there is nothing to tell of."
    )


def _document(
    told: _Told,
    tenant: Tenant,
    *,
    reference: str,
    valid_until: date,
    language: str,
    zone: ZoneInfo,
    now: datetime,
) -> InvoiceDocument:
    issuer = issuer_as_it_stands(Seller.objects.get(code=SELLER))
    currency = told.total.currency
    return InvoiceDocument(
        is_proforma=True,
        number=reference,
        language=language,
        zone=zone.key,
        seller=seller_party(issuer),
        buyer=buyer_party(recipient_of(tenant, profile_of(tenant_id=tenant.id))),
        issued_at=now,
        issued_on=local_day(now, zone),
        due_on=valid_until,
        first_day=told.period.first_day(zone),
        last_day=_last_day(told.period, zone),
        currency=currency,
        lines=[
            _line(line, plan_names=told.plan_names, zone=zone, language=language)
            for line in told.lines
        ],
        subtotal=total((line.amount for line in told.lines), currency=currency),
        discount=total((line.discount for line in told.lines), currency=currency),
        taxes=_taxes(told.lines, currency=currency, language=language),
        tax=told.tax,
        total=told.total,
        paid=Money.zero(currency),
        due=told.total,
        payment_instructions=payment_text(issuer, language=language),
    )


def _line(
    line: LineRow, *, plan_names: Mapping[str, str], zone: ZoneInfo, language: str
) -> DocumentLine:
    by_hand: Mapping[str, Any] | None = line.explanation.get("by_hand")
    if by_hand is not None:
        description = text_in(by_hand["description"], language)
    else:
        plan = plan_names.get(language) or plan_names.get("en") or next(iter(plan_names.values()))
        description = f"{plan} · {line.key}" if line.key else plan
    return DocumentLine(
        description=description,
        detail=line.app_key,
        working=working_text(kind=line.kind, explanation=line.explanation, language=language),
        quantity=line.quantity,
        unit_price=line.unit_price,
        amount=line.amount,
        discount=line.discount,
        first_day=line.period.first_day(zone),
        last_day=_last_day(line.period, zone),
    )


def _taxes(lines: Sequence[LineRow], *, currency: str, language: str) -> list[TaxLine]:
    return [
        TaxLine(
            rate_percent=each.tax.percent,
            code=each.tax.code.value,
            text=each.tax.text.get(language) or each.tax.text.get("en", ""),
            taxable=each.taxable,
            tax=each.amount,
        )
        for each in tax_sums(
            ((line.tax_terms, line.amount - line.discount, line.tax) for line in lines),
            currency=currency,
        )
    ]


def _last_day(period: Period, zone: ZoneInfo) -> date:
    return local_day(period.ends_at - timedelta(microseconds=1), zone)
