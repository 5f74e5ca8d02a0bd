"""Rate a range of tenants as a billing run would, write down what it comes to, and bill nothing.

The very functions that a run calls rate; only what stores and issues is left out. No row is locked
that a run, a payment or a change of plan waits for.
"""

from collections.abc import Iterable, Iterator
from typing import Final, TypeVar
from uuid import UUID

from django.db.models import QuerySet

from billing.invoicing.charges.domain import ChargeState
from billing.invoicing.charges.drafts import drafts_of
from billing.invoicing.contracts import SELLER, load_contracts
from billing.invoicing.domain import InvoiceKind, InvoiceStatus
from billing.invoicing.drafting import Contract, Draft
from billing.invoicing.dry_runs.before import Asked, billed_before, billed_to_ended
from billing.invoicing.dry_runs.domain import Expected
from billing.invoicing.dry_runs.models import ExpectedTotal
from billing.invoicing.late_periods import find_late
from billing.invoicing.models import BillingRun, Charge, Invoice
from billing.invoicing.parking import Parked
from billing.invoicing.parties_at_issue import held_back
from billing.invoicing.rated import Rated
from billing.invoicing.recounts import compare_usage
from billing.invoicing.services.count_run import Billed
from billing.invoicing.services.draft_due import move_on
from billing.invoicing.services.finalize_due import rate_drafts
from billing.invoicing.services.finalize_rated import billed_periods
from billing.invoicing.services.issue_documents import Issuable, with_parties
from billing.invoicing.services.rate_due import rate_due
from billing.invoicing.services.settle_late_usage import (
    late_candidates,
    late_draft,
    late_to_settle,
)
from billing.invoicing.storing import invoice_row
from billing.invoicing.tenant_ranges import Tenants
from billing.rating.terms import Timing
from billing.subscriptions.domain import LateUsagePolicy
from billing.subscriptions.models import Subscription
from kernel.errors import DomainError

CHUNK: Final = 500

Row = TypeVar("Row")


def expect_range(*, run: BillingRun, tenants: Tenants) -> Billed:
    """Write what the run would bill to each of the tenants beside what it was billed before, in the caller's
    scope; gives the range's counts.

    With `finalize`, documents whose grace is over at the run's instant; their days count as closed, as
    the run would close them first. Without, all drafts that there would be.
    """
    return _Range(run=run, tenants=tenants).expected()


class _Range:
    def __init__(self, *, run: BillingRun, tenants: Tenants) -> None:
        self._run, self._tenants, self._at = run, tenants, run.at
        self._found: dict[tuple[UUID, str], Expected] = {}
        self._asked: dict[UUID, list[Rated]] = {}
        self._parked: list[Parked] = []
        self._drafted = self._waiting = self._charged = 0

    def expected(self) -> Billed:
        for chunk in _chunks(list(self._drafts())):
            rated, _, faults = rate_drafts(chunk, lock=False)
            self._park(faults)
            self._take(rated)
        for rows in _chunks(list(self._due())):
            self._rate_due(rows)
        if self._run.finalize:
            self._settle_late()
            self._charge()
        self._compare()
        self._write()
        return self._counts()

    def _drafts(self) -> QuerySet[Invoice]:
        drafts = Invoice.objects.select_related(
            "tenant", "subscription__plan_version", "subscription__tenant"
        ).filter(
            status=InvoiceStatus.DRAFT,
            kind=InvoiceKind.SUBSCRIPTION,
            boundary_at__lte=self._at,
            **self._tenants.lookup,
        )
        return drafts.order_by("tenant_id", "finalize_at", "id")

    def _due(self) -> QuerySet[Subscription]:
        due = Subscription.objects.select_related("tenant").prefetch_related("plan_version")
        return due.filter(
            next_boundary_at__lte=self._at, parked_code="", **self._tenants.lookup
        ).order_by("tenant_id", "id")

    def _rate_due(self, rows: list[Subscription]) -> None:
        """A few boundaries of each at a time, as a run takes them; the rows move on in memory alone."""
        with_late = True
        rated: list[Rated] = []
        ended: list[tuple[UUID, Contract]] = []
        while rows:
            left = []
            for due in rate_due(rows, at=self._at, seller=SELLER, lock=False, with_late=with_late):
                if due.fault is not None:
                    self._park([(due.contract, due.fault)])
                    continue
                self._drafted += len(due.drafts)
                rated.extend(
                    Rated(
                        invoice=self._row(due.row, due.contract, draft),
                        contract=due.contract,
                        draft=draft,
                        corrections=0,
                    )
                    for draft in due.drafts
                )
                move_on(due.row, due.contract, passed=due.boundaries[-1].at)
                if due.row.next_boundary_at is None:
                    ended.append((due.row.tenant_id, due.contract))
                elif due.row.next_boundary_at <= self._at:
                    left.append(due.row)
            rows, with_late = left, False
        self._take(rated)
        for tenant_id, contract in ended:
            self._ends(tenant_id, contract)

    def _row(self, row: Subscription, contract: Contract, draft: Draft) -> Invoice:
        invoice = invoice_row(contract, draft, seller=SELLER, at=self._at)
        invoice.tenant, invoice.subscription = row.tenant, row
        return invoice

    def _take(self, rated: Iterable[Rated]) -> None:
        """Those that would be issued, or would be drafts; the others wait."""
        wanted = []
        for each in rated:
            if self._run.finalize and each.draft.finalize_at > self._at:
                self._waiting += 1
            elif not each.draft.is_empty:
                wanted.append(each)
        faults = self._refusals(wanted) if self._run.finalize else {}
        for place, each in enumerate(wanted):
            fault = faults.get(place)
            if fault is not None:
                self._park([(each.contract, fault)])
                continue
            self._asked.setdefault(each.contract.subscription_id, []).append(each)
            self._add(each.contract.tenant_id, each.draft)

    def _refusals(self, rated: list[Rated]) -> dict[int, DomainError]:
        """Why those can't be issued that can't, as finalising would find it."""
        compared = compare_usage(
            billed=[(each.contract, billed_periods(each)) for each in rated], now=self._at
        )
        said = with_parties(
            [Issuable(invoice=each.invoice, draft=each.draft) for each in rated], at=self._at
        )
        refused = held_back([each.says for each in said if each.says is not None])
        missing = {place: fault for place, fault in enumerate(refused) if fault is not None}
        return {**missing, **compared.faults}

    def _settle_late(self) -> None:
        after = None
        while rows := late_candidates(tenants=self._tenants, after=after):
            after = rows[-1].id
            late = find_late(contracts=load_contracts(rows), lock=False)
            due, last = late_to_settle(late, at=self._at) if late else ([], {})
            for each in due:
                if each.policy is LateUsagePolicy.WAIVE:
                    continue
                if each.error is not None:
                    self._park([(each.contract, each.error)])
                    continue
                draft = late_draft(each, at=self._at, last=last.get(each.subscription.id))
                if draft is not None:
                    self._charged += 1
                    self._add(each.contract.tenant_id, draft)

    def _charge(self) -> None:
        due = Charge.objects.select_related("tenant").filter(
            state=ChargeState.DRAFT, issue_at__lte=self._at, **self._tenants.lookup
        )
        for chunk in _chunks(list(due.order_by("issue_at", "id"))):
            drafts = drafts_of(chunk, at=self._at)
            for charge in chunk:
                draft = drafts[charge.id]
                if isinstance(draft, DomainError):
                    self._parked.append(Parked.by(draft, tenant=charge.tenant.key))
                elif not draft.is_empty:
                    self._charged += 1
                    self._add(charge.tenant_id, draft)

    def _add(self, tenant_id: UUID, draft: Draft) -> None:
        self._of(tenant_id, draft.currency).now.add(
            total_minor=draft.total.minor,
            usage_minor=sum(
                each.line.amount.minor - settled.discount.minor
                for each, settled in zip(draft.lines, draft.settlement.lines, strict=True)
                if each.timing == Timing.IN_ARREARS
            ),
            versions={each.plan_version_id for each in draft.lines if each.plan_version_id},
        )

    def _ends(self, tenant_id: UUID, contract: Contract) -> None:
        found = self._found.get((tenant_id, contract.versions[0].terms.currency))
        if found is not None:
            found.ends = True

    def _compare(self) -> None:
        """What was billed before to those of whom something is expected, and to those who are gone."""
        asked = [
            Asked(
                tenant_id=rated[0].contract.tenant_id,
                subscription_id=subscription_id,
                first_at=min(each.draft.boundary_at for each in rated),
                documents=len(rated),
            )
            for subscription_id, rated in self._asked.items()
        ]
        for each in [
            *billed_before(asked),
            *billed_to_ended(at=self._at, tenants=self._tenants),
        ]:
            self._of(each.tenant_id, each.currency).before.add(
                total_minor=each.total_minor,
                usage_minor=each.usage_minor,
                versions=set(each.versions),
            )

    def _write(self) -> None:
        ExpectedTotal.objects.bulk_create(
            [
                ExpectedTotal(
                    tenant_id=tenant_id,
                    run=self._run,
                    currency=currency,
                    documents=each.now.documents,
                    total_minor=each.now.total_minor,
                    before_documents=each.before.documents,
                    before_minor=each.before.total_minor,
                    reason=each.reason,
                )
                for (tenant_id, currency), each in sorted(self._found.items())
            ],
            batch_size=CHUNK,
        )

    def _counts(self) -> Billed:
        totals: dict[str, int] = {}
        for (_, currency), each in self._found.items():
            if each.now.documents:
                totals[currency] = totals.get(currency, 0) + each.now.total_minor
        documents = sum(each.now.documents for each in self._found.values())
        return Billed(
            due=self._drafted + self._charged,
            drafted=self._drafted,
            finalized=documents if self._run.finalize else 0,
            unchanged=self._waiting,
            parked=self._parked,
            totals=totals,
        )

    def _of(self, tenant_id: UUID, currency: str) -> Expected:
        return self._found.setdefault((tenant_id, currency), Expected())

    def _park(self, faults: Iterable[tuple[Contract, DomainError]]) -> None:
        self._parked.extend(
            Parked.by(fault, tenant=contract.tenant_key) for contract, fault in faults
        )


def _chunks(rows: list[Row]) -> Iterator[list[Row]]:
    for place in range(0, len(rows), CHUNK):
        yield rows[place : place + CHUNK]
