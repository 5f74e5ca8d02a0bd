"""What was billed in advance of the present periods of subscriptions: read for many at once."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.db.models.functions import Coalesce

from billing.invoicing.change_facts import BilledAhead, ChargedKey
from billing.invoicing.domain import InvoiceKind, InvoiceStatus
from billing.invoicing.models import CreditNoteLine, Invoice, InvoiceLine
from billing.rating.adjustments.discounts import read_taken
from billing.rating.lines import LineKind
from billing.rating.terms import Timing
from billing.subscriptions.models import Subscription
from kernel.money import Money, total
from kernel.period import Period


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """A line that billed in advance, or gave back, with its working; `net` is after discounts."""

    document: object
    net: Money
    working: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodBilled:
    """Of one subscription's period: the lines of its prices, the newest document first; what is left,
    after discounts, of the prices of which a credit note took something back that is no change's; and
    whether the document that opens the period is a draft still."""

    lines: Sequence[Billed] = ()
    left: Mapping[ChargedKey, Money] = field(default_factory=dict)
    is_opening_draft: bool = False

    @property
    def charged(self) -> dict[ChargedKey, Decimal]:
        """The most that was billed of each price."""
        charged: dict[ChargedKey, Decimal] = defaultdict(Decimal)
        for each in self.lines:
            working = each.working
            if not working.get("credited"):
                key = (str(working["plan"]), int(working["version"]), str(working["price"]))
                charged[key] = max(charged[key], Decimal(str(working["held"])))
        return dict(charged)

    @property
    def ahead(self) -> tuple[BilledAhead, ...]:
        """The lines, so far as discounts had a part in them; nothing comes back of any other."""
        if not any(each.working.get("discounts") for each in self.lines):
            return ()
        found = []
        for each in self.lines:
            taken = tuple(
                read_taken(told, currency=each.net.currency)
                for told in each.working.get("discounts", ())
            )
            found.append(
                BilledAhead(
                    document=each.document,
                    plan=str(each.working["plan"]),
                    version=int(each.working["version"]),
                    price=str(each.working["price"]),
                    amount=total((one.amount for one in taken), currency=each.net.currency)
                    + each.net,
                    discounts=taken,
                )
            )
        return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """A line of an invoice, or of a credit note: its amount is negative here then."""

    id: UUID | None
    document: UUID
    at: datetime
    kind: str
    key: str
    net: Money
    working: Mapping[str, Any]
    of_line: UUID | None = None

    @property
    def charged_key(self) -> ChargedKey:
        return (str(self.working.get("plan", "")), int(self.working.get("version", 0)), self.key)

    @property
    def is_of_price(self) -> bool:
        return self.kind in {LineKind.RECURRING, LineKind.CREDIT} and (
            "held" in self.working and "price" in self.working
        )


def billed_ahead(
    served: Sequence[tuple[Subscription, Period]], *, currencies: Mapping[UUID, str]
) -> dict[UUID, PeriodBilled]:
    """By subscription id, each for the served part of its present period. Three queries."""
    if not served:
        return {}
    periods = {row.id: period for row, period in served}
    tenant_ids = {row.tenant_id for row, _ in served}
    invoiced = _invoiced(periods, tenant_ids, currencies)
    noted = _noted(periods, tenant_ids, currencies)
    drafts = set(
        Invoice.objects.filter(
            tenant_id__in=tenant_ids,
            subscription__in=periods,
            kind=InvoiceKind.SUBSCRIPTION,
            status=InvoiceStatus.DRAFT,
            boundary_at__in={period.starts_at for period in periods.values()},
        ).values_list("subscription_id", "boundary_at")
    )
    return {
        key: PeriodBilled(
            lines=[
                Billed(document=each.document, net=each.net, working=each.working)
                for each in sorted(
                    [*invoiced[key], *noted[key]],
                    key=lambda each: (each.at, str(each.document)),
                    reverse=True,
                )
                if each.is_of_price
            ],
            left=_left(invoiced[key], noted[key]),
            is_opening_draft=(key, period.starts_at) in drafts,
        )
        for key, period in periods.items()
    }


def _within(periods: Mapping[UUID, Period]) -> tuple[datetime, datetime]:
    """From the first instant of all periods to the last."""
    return (
        min(period.starts_at for period in periods.values()),
        max(period.ends_at for period in periods.values()),
    )


def _invoiced(
    periods: Mapping[UUID, Period], tenant_ids: Iterable[UUID], currencies: Mapping[UUID, str]
) -> dict[UUID, list[_Line]]:
    found: dict[UUID, list[_Line]] = defaultdict(list)
    for row in (
        InvoiceLine.objects.filter(
            Q(invoice__subscription__in=periods) | Q(subscription__in=periods),
            tenant_id__in=tenant_ids,
            timing=Timing.IN_ADVANCE.value,
            period_starts_at__range=_within(periods),
        )
        .exclude(invoice__status=InvoiceStatus.VOID)
        .annotate(
            of_subscription=Coalesce("subscription_id", "invoice__subscription_id"),
            at=Coalesce("invoice__issued_at", "invoice__created_at"),
        )
    ):
        told = vars(row)
        key: UUID = told["of_subscription"]
        if periods[key].contains(row.period_starts_at):
            found[key].append(
                _Line(
                    id=row.id,
                    document=row.invoice_id,
                    at=told["at"],
                    kind=row.kind,
                    key=row.key,
                    net=Money(row.amount_minor - row.discount_minor, currencies[key]),
                    working=row.explanation,
                )
            )
    return found


def _noted(
    periods: Mapping[UUID, Period], tenant_ids: Iterable[UUID], currencies: Mapping[UUID, str]
) -> dict[UUID, list[_Line]]:
    found: dict[UUID, list[_Line]] = defaultdict(list)
    for row in (
        CreditNoteLine.objects.filter(
            Q(credit_note__subscription__in=periods) | Q(invoice_line__subscription__in=periods),
            tenant_id__in=tenant_ids,
            period_starts_at__range=_within(periods),
        )
        .select_related("credit_note")
        .annotate(
            # A note on an invoice that consolidates several is of no one subscription.
            of_subscription=Coalesce(
                "credit_note__subscription_id", "invoice_line__subscription_id"
            )
        )
    ):
        key: UUID | None = vars(row)["of_subscription"]
        if key is not None and periods[key].contains(row.period_starts_at):
            found[key].append(
                _Line(
                    id=None,
                    document=row.credit_note_id,
                    at=row.credit_note.issued_at,
                    kind=LineKind.CREDIT,
                    key=row.key,
                    net=Money(-row.amount_minor, currencies[key]),
                    working=row.explanation,
                    of_line=row.invoice_line_id,
                )
            )
    return found


def _left(invoiced: Sequence[_Line], noted: Sequence[_Line]) -> dict[ChargedKey, Money]:
    keys = {line.id: line.charged_key for line in invoiced}
    # A note of a change names in its working the price that it gives back; any other one, the line.
    credited = [
        (keys[line.of_line], line)
        for line in noted
        if "price" not in line.working and line.of_line in keys
    ]
    left: dict[ChargedKey, Money] = {key: Money.zero(line.net.currency) for key, line in credited}
    of_prices = [line for line in noted if "price" in line.working]
    for key, line in [
        *((line.charged_key, line) for line in (*invoiced, *of_prices)),
        *credited,
    ]:
        if key in left:
            left[key] = left[key] + line.net
    return {key: max(amount, Money.zero(amount.currency)) for key, amount in left.items()}
