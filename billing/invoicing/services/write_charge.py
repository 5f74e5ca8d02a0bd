"""Draft a charge by hand, change it, and take it away again while it is a draft."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from billing.invoicing.charges.domain import (
    MOST_DAYS_TO_PAY,
    ChargeLine,
    ChargeState,
    read_lines,
)
from billing.invoicing.domain import DAYS_TO_PAY, InvoiceKind
from billing.invoicing.models import Charge
from kernel import ids
from kernel.errors import Conflict, Invalid, NotFound
from kernel.period import local_midnight
from kernel.zones import zone_named
from tenants import audit
from tenants.models import Tenant

LONGEST_REFERENCE: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedCharge:
    """What is to be billed. `lines` are documents as `charges.domain` reads them; at the local midnight of
    `issue_on` it is issued by itself (None: when somebody says so)."""

    kind: InvoiceKind
    reference: str
    currency: str
    lines: Sequence[Mapping[str, Any]]
    issue_on: date | None = None
    days_to_pay: int = DAYS_TO_PAY


def ask_charge(*, tenant_id: UUID, asked: AskedCharge, now: datetime, actor: str) -> UUID:
    """Keep a draft in the caller's scope; gives its id, or that of the one that was asked for before with the
    same reference and content.

    Raises NotFound `tenant_not_found`; Conflict `reference_used` for a reference under which something else
    was asked for; Invalid `not_a_reference`, `out_of_range`, and as `read_lines`.
    """
    tenant = _tenant(tenant_id)
    charge = Charge(
        id=ids.new_id(),
        tenant=tenant,
        kind=asked.kind,
        reference=_reference(asked.reference),
        created_by=actor[:200],
        created_at=now,
        **_content(asked, tenant),
    )
    # Two at once: the second waits for the first one's key, and then finds it.
    Charge.objects.bulk_create([charge], ignore_conflicts=True)
    kept = Charge.objects.get(tenant_id=tenant_id, reference=charge.reference)
    if kept.id != charge.id:
        _refuse_other(kept, charge)
        return kept.id
    _record(charge, action="charge.drafted", before=None, now=now, actor=actor)
    return charge.id


def change_charge(
    *, tenant_id: UUID, charge_id: UUID, asked: AskedCharge, now: datetime, actor: str
) -> None:
    """Word a draft anew, in the caller's scope; its kind and reference stay.

    Raises NotFound `charge_not_found`, Conflict `charge_concluded`, Invalid as `ask_charge`.
    """
    charge = lock_charge(tenant_id=tenant_id, charge_id=charge_id)
    if (asked.kind, asked.reference) != (charge.kind, charge.reference):
        raise Conflict(
            "charge_identity",
            "The kind and the reference of a charge stay; draft another one.",
            field="reference",
        )
    before = _told(charge)
    for name, value in _content(asked, charge.tenant).items():
        setattr(charge, name, value)
    charge.fault_code = charge.fault_detail = ""
    charge.save()
    _record(charge, action="charge.changed", before=before, now=now, actor=actor)


def withdraw_charge(*, tenant_id: UUID, charge_id: UUID, now: datetime, actor: str) -> None:
    """Take a draft away, in the caller's scope; the audit trail keeps what it said.

    Raises NotFound `charge_not_found`, Conflict `charge_concluded`.
    """
    charge = lock_charge(tenant_id=tenant_id, charge_id=charge_id)
    _record(
        charge, action="charge.withdrawn", before=_told(charge), after=None, now=now, actor=actor
    )
    charge.delete()


def lock_charge(*, tenant_id: UUID, charge_id: UUID) -> Charge:
    """The draft with its tenant, held until the transaction ends.

    Raises NotFound `charge_not_found`, Conflict `charge_concluded`.
    """
    charge = (
        Charge.objects.select_for_update(of=("self",))
        .select_related("tenant")
        .filter(tenant_id=tenant_id, id=charge_id)
        .first()
    )
    if charge is None:
        raise charge_not_found()
    if charge.state != ChargeState.DRAFT:
        raise Conflict(
            "charge_concluded",
            "This was issued, or came to nothing; it is a draft no more.",
            field="charge",
        )
    return charge


def charge_not_found() -> NotFound:
    return NotFound("charge_not_found", "There is no such charge.", field="charge")


def _tenant(tenant_id: UUID) -> Tenant:
    tenant = Tenant.objects.filter(id=tenant_id).first()
    if tenant is None:
        raise NotFound("tenant_not_found", "There is no such tenant.", field="tenant")
    return tenant


def _reference(text: str) -> str:
    if not text or text != text.strip() or len(text) > LONGEST_REFERENCE or not text.isprintable():
        raise Invalid(
            "not_a_reference",
            f"reference is a text of 1 to {LONGEST_REFERENCE} printable characters without blanks "
            "around it.",
            field="reference",
        )
    return text


def _content(asked: AskedCharge, tenant: Tenant) -> dict[str, Any]:
    """What may change of a charge, checked."""
    if not 0 <= asked.days_to_pay <= MOST_DAYS_TO_PAY:
        raise Invalid(
            "out_of_range",
            f"days_to_pay is a whole number from 0 to {MOST_DAYS_TO_PAY}.",
            field="days_to_pay",
        )
    lines: Sequence[ChargeLine] = read_lines(asked.lines, kind=asked.kind, currency=asked.currency)
    return {
        "currency": asked.currency,
        "lines": [line.document for line in lines],
        "issue_at": None
        if asked.issue_on is None
        else local_midnight(asked.issue_on, zone_named(tenant.timezone)),
        "days_to_pay": asked.days_to_pay,
    }


def _refuse_other(kept: Charge, asked: Charge) -> None:
    before, now = _told(kept), _told(asked)
    if kept.kind == InvoiceKind.TOP_UP:
        # It is of the moment at which it is asked for.
        before["issue_at"] = now["issue_at"]
    if kept.kind != asked.kind or before != now:
        raise Conflict(
            "reference_used",
            "Something else was asked for under this reference; use another one, or change that draft.",
            field="reference",
        )


def _told(charge: Charge) -> dict[str, Any]:
    return {
        "currency": charge.currency,
        "lines": charge.lines,
        "issue_at": None if charge.issue_at is None else charge.issue_at.isoformat(),
        "days_to_pay": charge.days_to_pay,
    }


_UNSAID: Final[dict[str, Any]] = {}


def _record(
    charge: Charge,
    *,
    action: str,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None = _UNSAID,
    now: datetime,
    actor: str,
) -> None:
    audit.record(
        audit.Entry(
            tenant_id=charge.tenant_id,
            actor=actor,
            action=action,
            target=f"charge:{charge.id}",
            before=before,
            after={"kind": charge.kind, "reference": charge.reference, **_told(charge)}
            if after is _UNSAID
            else after,
        ),
        now=now,
    )
