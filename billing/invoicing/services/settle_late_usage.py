"""Settle late usage that no next invoice bills: a subscription that ended, or one whose policy says so."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Max, Q

from billing.invoicing.contracts import load_contracts
from billing.invoicing.domain import InvoiceKind, LateUsageOutcome
from billing.invoicing.drafting import Draft, grace_of
from billing.invoicing.late_periods import Late, find_late, settlement_rows
from billing.invoicing.models import Invoice, LateUsage
from billing.invoicing.parking import Parked
from billing.invoicing.parties_at_issue import held_back
from billing.invoicing.recounts import DIFFERS, compare_usage
from billing.invoicing.required_fields import CODE as FIELDS_MISSING
from billing.invoicing.services.issue_as_credit_note import issue_as_credit_note
from billing.invoicing.services.issue_documents import Issuable, issue_documents, with_parties
from billing.invoicing.services.park_subscription import park_subscription, unpark_subscription
from billing.invoicing.storing import Document, invoice_row, store_documents
from billing.invoicing.tenant_ranges import ALL_TENANTS, Tenants
from billing.subscriptions.domain import LateUsagePolicy, SubscriptionStatus
from billing.subscriptions.models import Subscription
from kernel.period import Period, local_day
from tenants import audit
from tenants.scope import system_scope

CHUNK = 500
ACTOR = "billing_run"


@dataclass(slots=True, kw_only=True)
class SettledLate:
    """What one chunk did; `seen` 0 means that nothing was left to look at."""

    seen: int = 0
    documents: int = 0
    waived: int = 0
    parked: list[Parked] = field(default_factory=list)
    totals: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    last: UUID | None = None


def settle_late_usage(
    *,
    at: datetime,
    tenants: Tenants = ALL_TENANTS,
    seller: str = "default",
    after: UUID | None = None,
    count: Callable[[SettledLate], None] = lambda _: None,
) -> SettledLate:
    """Settle late usage of up to `CHUNK` subscriptions that ended, or whose policy is not the next
    invoice, after the subscription `after`. Repeatable: what was settled is not found again.

    Each gets one document of kind `late`, or a credit note where it comes out negative; waived usage is
    recorded with its reason. Within the grace after a subscription's end, or after its last document of
    this kind, late usage is collected. `count` is called last in the transaction, if anything was late.
    """
    with system_scope(purpose="settle late usage"):
        rows = late_candidates(tenants=tenants, after=after)
        outcome = SettledLate(seen=len(rows))
        if not rows:
            return outcome
        outcome.last = rows[-1].id
        late = find_late(contracts=load_contracts(rows), lock=True)
        if not late:
            return outcome
        due, last = late_to_settle(late, at=at)
        due = _compared(due, at=at)
        _waive([each for each in due if each.policy is LateUsagePolicy.WAIVE], outcome, at=at)
        _bill(
            [each for each in due if each.policy is not LateUsagePolicy.WAIVE],
            outcome,
            tenants={row.id: row for row in rows},
            last=last,
            seller=seller,
            at=at,
        )
        count(outcome)
        return outcome


def late_candidates(*, tenants: Tenants, after: UUID | None) -> list[Subscription]:
    """Up to `CHUNK` subscriptions after that one whose late usage no next invoice bills."""
    return list(
        Subscription.objects.select_related("plan_version", "tenant")
        .filter(
            Q(status=SubscriptionStatus.ENDED) | ~Q(late_usage=LateUsagePolicy.NEXT_INVOICE),
            parked_code__in=["", DIFFERS, FIELDS_MISSING],
            **tenants.lookup,
        )
        .filter(**({"id__gt": after} if after is not None else {}))
        .order_by("id")[:CHUNK]
    )


def late_to_settle(
    late: Mapping[UUID, Late], *, at: datetime
) -> tuple[list[Late], dict[UUID | None, datetime]]:
    """The late usage that is collected long enough at `at`; and when each subscription's last document of
    late usage was made."""
    last = _last_documents(late)
    due = [
        each for each in late.values() if _is_due(each, at=at, last=last.get(each.subscription.id))
    ]
    return due, last


def _last_documents(late: Mapping[UUID, Late]) -> dict[UUID | None, datetime]:
    """When each subscription's newest document of late usage was made."""
    return dict(
        Invoice.objects.filter(
            tenant_id__in={each.contract.tenant_id for each in late.values()},
            subscription_id__in=late,
            kind=InvoiceKind.LATE,
        )
        .values_list("subscription_id")
        .annotate(last=Max("boundary_at"))
    )


def _is_due(late: Late, *, at: datetime, last: datetime | None) -> bool:
    has_next = late.subscription.status == SubscriptionStatus.ACTIVE or late.draft_ids
    if late.policy is LateUsagePolicy.NEXT_INVOICE and has_next:
        return False
    zone = late.contract.cadence.zone
    collecting_from = [last] if last is not None else []
    if late.subscription.ends_at is not None and late.subscription.ends_at <= at:
        collecting_from.append(late.subscription.ends_at)
    return all(
        since + grace_of(late.contract.version_on(local_day(since, zone)).terms) <= at
        for since in collecting_from
    )


def _compared(due: Sequence[Late], *, at: datetime) -> list[Late]:
    """The same with what keeps those from being settled whose usage differs from its recount."""
    compared = compare_usage(
        billed=[(each.contract, [one.billed.period for one in each.adjusted]) for each in due],
        now=at,
    )
    found = []
    for place, each in enumerate(due):
        fault = compared.faults.get(place)
        if fault is None and place in compared.behind:
            continue
        if fault is None:
            unpark_subscription(subscription=each.subscription, code=DIFFERS, now=at)
        found.append(replace(each, error=each.error or fault))
    return found


def _waive(waived: Sequence[Late], outcome: SettledLate, *, at: datetime) -> None:
    rows = []
    entries = []
    for late in waived:
        if _park(late, outcome):
            continue
        rows.extend(
            settlement_rows(
                late=late,
                adjusted=late.adjusted,
                document=None,
                outcome=LateUsageOutcome.WAIVED,
                reason=late.subscription.late_usage_reason,
                now=at,
            )
        )
        if any(each.lines for each in late.adjusted):
            outcome.waived += 1
            entries.append(
                audit.Entry(
                    tenant_id=late.contract.tenant_id,
                    actor=ACTOR,
                    action="late_usage.waived",
                    target=f"subscription:{late.contract.subscription_id}",
                    after={"amount": f"{late.amount}"},
                    reason=late.subscription.late_usage_reason,
                )
            )
    LateUsage.objects.bulk_create(rows, batch_size=500)
    audit.record_many(entries, now=at)


def _bill(
    billed: Sequence[Late],
    outcome: SettledLate,
    *,
    tenants: Mapping[UUID, Subscription],
    last: Mapping[UUID | None, datetime],
    seller: str,
    at: datetime,
) -> None:
    documents: list[tuple[Late, Invoice | None, Draft | None]] = []
    drafted: list[tuple[Late, Issuable]] = []
    for late in billed:
        if _park(late, outcome):
            continue
        draft = late_draft(late, at=at, last=last.get(late.subscription.id))
        if draft is None:
            documents.append((late, None, None))
            continue
        invoice = invoice_row(late.contract, draft, seller=seller, at=at, kind=InvoiceKind.LATE)
        invoice.tenant = tenants[late.subscription.id].tenant
        invoice.subscription = late.subscription
        drafted.append((late, Issuable(invoice=invoice, draft=draft)))
    for late, each in _complete(drafted, outcome, at=at):
        documents.append((late, each.invoice, each.draft))
    issued = [
        (late, invoice, draft)
        for late, invoice, draft in documents
        if invoice is not None and draft is not None
    ]
    store_documents([Document(invoice=invoice, draft=draft) for late, invoice, draft in issued])
    issue_documents(
        documents=[
            Issuable(invoice=invoice, draft=draft)
            for _, invoice, draft in issued
            if draft.total.minor >= 0
        ],
        at=at,
    )
    for _, invoice, draft in issued:
        if draft.total.minor < 0:
            issue_as_credit_note(invoice=invoice, draft=draft, now=at, actor=ACTOR)
        outcome.totals[draft.currency] += draft.total.minor
    LateUsage.objects.bulk_create(
        [
            row
            for late, invoice, _ in documents
            for row in settlement_rows(
                late=late,
                adjusted=late.adjusted,
                document=invoice,
                outcome=LateUsageOutcome.ADJUSTED,
                now=at,
            )
        ],
        batch_size=500,
    )
    outcome.documents += len(issued)


def _complete(
    drafted: Sequence[tuple[Late, Issuable]], outcome: SettledLate, *, at: datetime
) -> list[tuple[Late, Issuable]]:
    """The documents that say all that the law wants; the subscriptions of the others are parked."""
    documents = with_parties([each for _, each in drafted], at=at)
    refusals = held_back([each.says for each in documents if each.says is not None])
    complete = []
    for (late, _), each, refused in zip(drafted, documents, refusals, strict=True):
        if not _park(replace(late, error=refused), outcome):
            unpark_subscription(subscription=late.subscription, code=FIELDS_MISSING, now=at)
            complete.append((late, each))
    return complete


def late_draft(late: Late, *, at: datetime, last: datetime | None) -> Draft | None:
    """The document of late usage; None where it changes no amount."""
    touched = [each for each in late.adjusted if each.lines]
    if not touched:
        return None
    return Draft(
        # Two documents of one instant are told apart by it.
        boundary_at=at if last is None else max(at, last + timedelta(microseconds=1)),
        finalize_at=at,
        period=Period(
            min(each.billed.period.starts_at for each in touched),
            max(each.billed.period.ends_at for each in touched),
        ),
        currency=late.contract.versions[0].terms.currency,
        lines=tuple(line for each in touched for line in each.lines),
        waits_for_usage=False,
        tax_rounding=late.contract.taxing.rounding,
    )


def _park(late: Late, outcome: SettledLate) -> bool:
    """Leave aside a subscription whose late usage can't be rated, and say why."""
    if late.error is None:
        return False
    outcome.parked.append(
        Parked(tenant=late.contract.tenant_key, code=late.error.code, detail=late.error.message)
    )
    park_subscription(subscription=late.subscription, fault=late.error)
    return True
