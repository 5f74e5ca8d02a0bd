"""Finalise drafts that were just rated: those that are ready get their number, are posted and announced.

The one end of both ways to a document: of a draft that lived through its grace, and of one whose grace
was over when its boundary was first seen.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from uuid import UUID

from billing.invoicing.domain import InvoiceStatus, LateUsageOutcome
from billing.invoicing.late_periods import settlement_rows
from billing.invoicing.models import Invoice, LateUsage
from billing.invoicing.parking import Parked
from billing.invoicing.parties_at_issue import held_back
from billing.invoicing.rated import Rated
from billing.invoicing.recounts import DIFFERS, compare_usage
from billing.invoicing.required_fields import CODE as FIELDS_MISSING
from billing.invoicing.services.consolidate import consolidate, without_waiting
from billing.invoicing.services.issue_as_credit_note import issue_as_credit_note
from billing.invoicing.services.issue_documents import Issuable, issue_documents, with_parties
from billing.invoicing.services.park_subscription import park_subscription, unpark_subscription
from kernel.period import Period
from metering import queries as metering


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What became of the drafts. `finalized` counts the documents that were issued, one for all that it
    consolidates; `released` subscriptions that were parked for their usage and go
    on; `totals` are those of the final ones, in minor units by currency."""

    finalized: int = 0
    empty: int = 0
    waiting: int = 0
    released: int = 0
    parked: list[Parked] = field(default_factory=list)
    totals: dict[str, int] = field(default_factory=lambda: defaultdict(int))


def finalize_rated(*, rated: Sequence[Rated], at: datetime) -> Outcome:
    """Finalise those of the drafts whose grace is over at `at` and whose days are closed, in their order
    and in the caller's scope; the others stay as they are.

    Documents are issued as of `at`. They get their numbers last, so that the series is held for a moment
    only. One whose lines are all zero is not issued: it becomes void and gets no number. One that comes
    out negative, for what late usage gives back, is issued as a credit note. Those of a tenant that wants them
    together are consolidated, and wait for each other (`consolidate`). Where the usage that one
    bills is not what it came to when it was counted anew, or where one lacks what the law wants on it, its
    subscription is parked with the reason, until that is mended.
    """
    closed = metering.closed_until(tenant_ids=list({each.contract.tenant_id for each in rated}))
    outcome = Outcome()
    agreeing = _agreeing(
        [each for each in rated if _is_ready(each, at=at, closed=closed)], outcome, at=at
    )
    documents = _complete(agreeing, outcome, at=at)
    ready = without_waiting(
        [each for each in agreeing if each.draft.is_empty or each.invoice.id in documents]
    )
    _keep_counts(ready)
    issued = [each for each in ready if not each.draft.is_empty]
    empty = [each.invoice.id for each in ready if each.draft.is_empty]
    consolidated = consolidate(issued, at=at)
    taken = {part.invoice.id: each for each in consolidated for part in each.parts}
    alone = [each for each in issued if each.invoice.id not in taken]
    if empty:
        Invoice.objects.filter(id__in=empty).update(status=InvoiceStatus.VOID)
    issue_documents(
        documents=[
            *(documents[each.invoice.id] for each in alone if each.draft.total.minor >= 0),
            *(each.issuable for each in consolidated),
        ],
        at=at,
    )
    for each in alone:
        if each.draft.total.minor < 0:
            issue_as_credit_note(
                invoice=each.invoice, draft=each.draft, now=at, actor="billing_run"
            )
    _settle_late(
        [
            (
                each,
                taken[each.invoice.id].issuable.invoice
                if each.invoice.id in taken
                else each.invoice,
            )
            for each in ready
        ],
        at=at,
    )
    outcome.finalized, outcome.empty = len(alone) + len(consolidated), len(empty)
    outcome.waiting = len(rated) - len(ready)
    for draft in (*(each.draft for each in alone), *(each.issuable.draft for each in consolidated)):
        outcome.totals[draft.currency] += draft.total.minor
    return outcome


def _is_ready(each: Rated, *, at: datetime, closed: Mapping[UUID, date]) -> bool:
    if each.invoice.finalize_at > at:
        return False
    if not each.draft.waits_for_usage:
        return True
    until = closed.get(each.contract.tenant_id)
    end_day = each.draft.period.end_day(each.contract.cadence.zone)
    return until is not None and until >= end_day


def _agreeing(ready: Sequence[Rated], outcome: Outcome, *, at: datetime) -> list[Rated]:
    """Those whose usage was counted twice to the same; of the others who differs is parked."""
    compared = compare_usage(
        billed=[(each.contract, billed_periods(each)) for each in ready], now=at
    )
    agreeing = []
    for place, each in enumerate(ready):
        subscription = each.invoice.subscription
        fault = compared.faults.get(place)
        if fault is not None:
            outcome.parked.append(
                Parked(tenant=each.contract.tenant_key, code=fault.code, detail=fault.message)
            )
            if subscription is not None:
                park_subscription(subscription=subscription, fault=fault)
        elif place not in compared.behind:
            agreeing.append(each)
            if subscription is not None and each.draft.waits_for_usage:
                outcome.released += unpark_subscription(
                    subscription=subscription, code=DIFFERS, now=at
                )
    return agreeing


def _complete(agreeing: Sequence[Rated], outcome: Outcome, *, at: datetime) -> dict[UUID, Issuable]:
    """Those that bill something and say all that the law wants, by invoice id; the others are parked."""
    documents = with_parties(
        [
            Issuable(invoice=each.invoice, draft=each.draft)
            for each in agreeing
            if not each.draft.is_empty
        ],
        at=at,
    )
    refusals = held_back([each.says for each in documents if each.says is not None])
    complete = {}
    for each, refused in zip(documents, refusals, strict=True):
        subscription = each.invoice.subscription
        if refused is not None:
            outcome.parked.append(
                Parked(tenant=each.invoice.tenant.key, code=refused.code, detail=refused.message)
            )
            if subscription is not None:
                park_subscription(subscription=subscription, fault=refused)
            continue
        complete[each.invoice.id] = each
        if subscription is not None:
            outcome.released += unpark_subscription(
                subscription=subscription, code=FIELDS_MISSING, now=at
            )
    return complete


def billed_periods(each: Rated) -> list[Period]:
    """The periods whose usage a document bills: its own, and those whose late usage it settles."""
    late = each.late.adjusted if each.late is not None else ()
    own = [each.draft.period] if each.draft.waits_for_usage else []
    return [*own, *(adjusted.billed.period for adjusted in late)]


def _keep_counts(ready: Sequence[Rated]) -> None:
    """How many corrections each document knows of, before it is frozen."""
    counted = [each for each in ready if each.corrections != each.invoice.corrections_counted]
    for each in counted:
        each.invoice.corrections_counted = each.corrections
    Invoice.objects.bulk_update(
        [each.invoice for each in counted], ["corrections_counted"], batch_size=500
    )


def _settle_late(settled: Sequence[tuple[Rated, Invoice]], *, at: datetime) -> None:
    """Keep which late usage the documents bill, each with the invoice that has its lines."""
    LateUsage.objects.bulk_create(
        [
            row
            for each, document in settled
            if each.late is not None
            for row in settlement_rows(
                late=each.late,
                adjusted=each.late.adjusted,
                document=document,
                outcome=LateUsageOutcome.ADJUSTED,
                now=at,
            )
        ],
        batch_size=500,
    )
