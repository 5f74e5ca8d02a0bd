"""Issue charges: each becomes one invoice, numbered, frozen, posted and announced like all others."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from billing.invoicing.charges.domain import NOT_BILLED, ChargeState
from billing.invoicing.charges.drafts import drafts_of, waiting_for_usage
from billing.invoicing.contracts import SELLER
from billing.invoicing.domain import InvoiceKind
from billing.invoicing.drafting import Draft
from billing.invoicing.models import Charge, Invoice
from billing.invoicing.parking import Parked
from billing.invoicing.parties_at_issue import held_back
from billing.invoicing.services.issue_documents import Issuable, issue_documents, with_parties
from billing.invoicing.services.write_charge import lock_charge
from billing.invoicing.storing import Document, content_hash, store_documents
from billing.invoicing.tenant_ranges import ALL_TENANTS, Tenants
from kernel import ids
from kernel.errors import Conflict, DomainError
from tenants import audit
from tenants.scope import system_scope
from work.jobs import enqueue

CHUNK: Final = 500
KIND: Final = "billing.issue_charge"


@dataclass(slots=True, kw_only=True)
class IssuedCharges:
    """What one chunk did; `seen` 0 means that nothing was left to do. `totals` in minor units by currency."""

    seen: int = 0
    issued: int = 0
    parked: list[Parked] = field(default_factory=list)
    totals: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    last: tuple[datetime, UUID] | None = None


def issue_due_charges(
    *,
    at: datetime,
    tenants: Tenants = ALL_TENANTS,
    after: tuple[datetime, UUID] | None = None,
    count: Callable[[IssuedCharges], None] = lambda _: None,
) -> IssuedCharges:
    """Issue up to `CHUNK` charges whose date has come at `at`, as of then, after the place `after`.

    A few statements whatever their number. A charge and its invoice are concluded by one transaction
    that holds the charge: killed anywhere and run again, and however many run at once, each is billed
    once. One that can't be billed keeps the reason and is tried again by the next run, and so is a true-up as long
    as something of its days is not issued.
    `count` is called last in the transaction.
    """
    with system_scope(purpose="issue charges"):
        due = Charge.objects.select_for_update(of=("self",)).select_related("tenant")
        due = due.filter(state=ChargeState.DRAFT, issue_at__lte=at, **tenants.lookup)
        if after is not None:
            due = due.extra(  # a row comparison, which the ORM has no words for
                where=["(issue_at, billing_charge.id) > (%s, %s)"], params=list(after)
            )
        charges = list(due.order_by("issue_at", "id")[:CHUNK])
        done = IssuedCharges(seen=len(charges))
        if not charges:
            return done
        done.last = (charges[-1].issue_at or at, charges[-1].id)
        waiting = waiting_for_usage(charges, at=at)
        _let_wait([each for each in charges if each.id in waiting])
        for wave in _waves([each for each in charges if each.id not in waiting]):
            _issue_wave(wave, done, at=at)
        count(done)
        return done


def _issue_wave(charges: Sequence[Charge], done: IssuedCharges, *, at: datetime) -> None:
    drafts = drafts_of(charges, at=at)
    ready: list[_Ready] = []
    faults: list[tuple[Charge, DomainError]] = []
    for charge in charges:
        draft = drafts[charge.id]
        if isinstance(draft, DomainError):
            faults.append((charge, draft))
        else:
            ready.append(_ready(charge, draft, at=at))
    complete: list[_Ready] = []
    for each, refused in zip(ready, _refusals(ready, at=at), strict=True):
        if refused is not None:
            faults.append((each.charge, refused))
        else:
            complete.append(each)
            done.totals[each.draft.currency] += each.draft.total.minor
    _keep_faults(faults)
    done.parked.extend(Parked.by(fault, tenant=charge.tenant.key) for charge, fault in faults)
    done.issued += _issue(complete, at=at, actor="billing_run")


def _waves(charges: Sequence[Charge]) -> list[list[Charge]]:
    """What may be billed together: of a tenant's true-ups one after the other, since the next one counts
    what the one before it billed."""
    waves: list[list[Charge]] = []
    seen: dict[UUID, int] = defaultdict(int)
    for charge in charges:
        place = 0
        if charge.kind == InvoiceKind.TRUE_UP:
            place = seen[charge.tenant_id]
            seen[charge.tenant_id] += 1
        while len(waves) <= place:
            waves.append([])
        waves[place].append(charge)
    return waves


def _let_wait(charges: Sequence[Charge]) -> None:
    fault = Conflict(
        NOT_BILLED,
        "Something of the days of the commitment is not issued yet; the first run after it bills this.",
    )
    _keep_faults([(charge, fault) for charge in charges])


def issue_charge(*, tenant_id: UUID, charge_id: UUID, now: datetime, actor: str) -> UUID | None:
    """Issue one charge as of `now`, whatever its date, in the caller's scope; gives its invoice's id, None
    where a commitment was reached and nothing is due.

    Raises NotFound `charge_not_found`, Conflict `charge_concluded`, and what keeps it from being billed.
    """
    charge = lock_charge(tenant_id=tenant_id, charge_id=charge_id)
    draft = drafts_of([charge], at=now)[charge.id]
    if isinstance(draft, DomainError):
        raise draft
    _issue([_ready(charge, draft, at=now)], at=now, actor=actor)
    return charge.invoice_id


def request_issue(*, tenant_id: UUID, charge_id: UUID, now: datetime, actor: str) -> None:
    """Ask for a charge's invoice over the web, which makes no documents: a job does, at once.

    Raises NotFound `charge_not_found`, Conflict `charge_concluded`, and what keeps it from being billed.
    """
    charge = lock_charge(tenant_id=tenant_id, charge_id=charge_id)
    draft = drafts_of([charge], at=now)[charge.id]
    if isinstance(draft, DomainError):
        raise draft
    enqueue(
        kind=KIND,
        key=f"{charge.id}:{now.isoformat()}",
        payload={"charge_id": str(charge.id)},
        tenant_id=tenant_id,
        requested_by=actor,
    )


def carry_out_issue(*, tenant_id: UUID, charge_id: UUID, now: datetime) -> UUID | None:
    """Issue a charge that was asked for over the web; one that is concluded, or gone, stays so.

    What keeps it from being billed is kept as the charge's fault.
    """
    try:
        with system_scope(purpose=f"issue charge {charge_id}"):
            return issue_charge(
                tenant_id=tenant_id, charge_id=charge_id, now=now, actor="billing_run"
            )
    except DomainError as error:
        with system_scope(purpose=f"issue charge {charge_id}"):
            charge = Charge.objects.filter(tenant_id=tenant_id, id=charge_id).first()
            if charge is not None and charge.state == ChargeState.DRAFT:
                _keep_faults([(charge, error)])
            return None if charge is None else charge.invoice_id


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """A charge with its content; `invoice` is the row that it becomes, unless nothing is due."""

    charge: Charge
    draft: Draft
    invoice: Invoice

    @property
    def issuable(self) -> Issuable:
        return Issuable(invoice=self.invoice, draft=self.draft, days_to_pay=self.charge.days_to_pay)


def _ready(charge: Charge, draft: Draft, *, at: datetime) -> _Ready:
    return _Ready(charge=charge, draft=draft, invoice=_invoice(charge, draft, at=at))


def _refusals(ready: Sequence[_Ready], *, at: datetime) -> list[DomainError | None]:
    """For each why it can't be issued: what the law wants on it is missing."""
    said = with_parties([each.issuable for each in ready], at=at)
    refused = held_back([each.says for each in said if each.says is not None])
    return [None if each.draft.is_empty else why for each, why in zip(ready, refused, strict=True)]


def _keep_faults(faults: Sequence[tuple[Charge, DomainError]]) -> None:
    """Write down why they can't be billed now."""
    for charge, fault in faults:
        charge.fault_code, charge.fault_detail = fault.code, fault.message
    Charge.objects.bulk_update(
        [charge for charge, _ in faults], ["fault_code", "fault_detail"], batch_size=CHUNK
    )


def _issue(ready: Sequence[_Ready], *, at: datetime, actor: str) -> int:
    """Write, issue and conclude, in the caller's transaction; gives how many became invoices."""
    billed = [each for each in ready if not each.draft.is_empty]
    store_documents([Document(invoice=each.invoice, draft=each.draft) for each in billed])
    issue_documents(documents=[each.issuable for each in billed], at=at)
    for each in ready:
        charge = each.charge
        charge.state = ChargeState.NOTHING_DUE if each.draft.is_empty else ChargeState.ISSUED
        charge.invoice = None if each.draft.is_empty else each.invoice
        charge.concluded_at = at
        charge.fault_code = charge.fault_detail = ""
    Charge.objects.bulk_update(
        [each.charge for each in ready],
        ["state", "concluded_at", "invoice", "fault_code", "fault_detail"],
        batch_size=CHUNK,
    )
    audit.record_many(
        [
            audit.Entry(
                tenant_id=each.charge.tenant_id,
                actor=actor,
                action="charge.issued" if each.charge.invoice_id else "charge.came_to_nothing",
                target=f"charge:{each.charge.id}",
                after={
                    "reference": each.charge.reference,
                    "invoice": str(each.charge.invoice_id or ""),
                },
            )
            for each in ready
        ],
        now=at,
    )
    return len(billed)


def _invoice(charge: Charge, draft: Draft, *, at: datetime) -> Invoice:
    totals = draft.settlement
    return Invoice(
        id=ids.new_id(),
        tenant=charge.tenant,
        seller_id=SELLER,
        kind=InvoiceKind(charge.kind),
        currency=draft.currency,
        timezone=charge.tenant.timezone,
        language=charge.tenant.language,
        boundary_at=at,
        period_starts_at=draft.period.starts_at,
        period_ends_at=draft.period.ends_at,
        finalize_at=at,
        subtotal_minor=totals.subtotal.minor,
        discount_minor=totals.discount_total.minor,
        tax_minor=totals.tax_total.minor,
        total_minor=totals.total.minor,
        content_hash=content_hash(draft),
        created_at=at,
    )
