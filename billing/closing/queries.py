"""The months of the books: their state, their figures, and what hinders their close.

All need a cross-tenant scope. Days and months are those of UTC, as in all of the books.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from enum import StrEnum
from typing import Any
from uuid import UUID

from billing.certificates.domain import CertificateState
from billing.certificates.queries import certified_days
from billing.closing.domain import Hinder, Hindrance
from billing.ledger.domain import Account, PeriodAction, month_before, month_end
from billing.ledger.models import AccountingPeriod, PeriodRequest
from billing.ledger.recognition import last_recognized_day
from billing.ledger.statements import TrialRow, trial_balance
from kernel.errors import Invalid, NotFound
from kernel.money import Money
from work.connections import cursor


class PeriodState(StrEnum):
    """Whether a month takes postings, or waits for a second person."""

    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"
    REOPENING = "reopening"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodRow:
    """A month as lists show it: how many transactions it has, and the revenue of it by currency."""

    month: date
    state: PeriodState
    transactions: int
    revenue: Sequence[Money]


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedPeriod:
    """What was asked of a month, and what became of it: `state` is waiting, done or refused."""

    id: UUID
    month: date
    action: PeriodAction
    reason: str
    requested_by: str
    requested_at: datetime
    state: str
    decided_by: str
    decided_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodView:
    """A month whole. `figures` is the trial balance at its end: as it was closed, or as it stands."""

    month: date
    state: PeriodState
    hinders: Sequence[Hinder]
    figures: Sequence[TrialRow]
    asked: Sequence[AskedPeriod]
    waiting: AskedPeriod | None


def read_month(text: str) -> date:
    """The month that a text such as 2026-03 names. Raises Invalid `bad_month`."""
    try:
        if len(text) == len("2026-03"):
            return date.fromisoformat(f"{text}-01")
    except ValueError:
        pass
    raise Invalid("bad_month", "Name a month such as 2026-03.", field="month")


def period_count(*, now: datetime) -> int:
    """How many months the books have, the present one included."""
    first = _first_month()
    this = _month_of(now)
    if first is None or first > this:
        return 0
    return (this.year - first.year) * 12 + this.month - first.month + 1


def period_rows(*, now: datetime, limit: int, offset: int = 0) -> list[PeriodRow]:
    """The months from the first posting to the present one, newest first."""
    month, months = _month_of(now), []
    total = period_count(now=now)
    for place in range(total):
        if place >= offset + limit:
            break
        if place >= offset:
            months.append(month)
        month = month_before(month)
    if not months:
        return []
    figures = _movements(first=months[-1], last=months[0])
    states = _states(months)
    return [
        PeriodRow(
            month=each,
            state=states[each],
            transactions=figures.get(each, (0, ()))[0],
            revenue=figures.get(each, (0, ()))[1],
        )
        for each in months
    ]


def period_view(*, month: date, now: datetime) -> PeriodView:
    """One month. Raises NotFound `unknown_period` for one before the first posting or after today."""
    first = _first_month()
    if first is None or not first <= month <= _month_of(now):
        raise NotFound("unknown_period", "The books have no such month.", field="month")
    state = _states([month])[month]
    asked = asked_periods(month=month)
    row = AccountingPeriod.objects.filter(month=month, is_closed=True).first()
    return PeriodView(
        month=month,
        state=state,
        hinders=hinders(month=month, now=now) if row is None else (),
        figures=trial_balance(at=last_instant(month)) if row is None else _figures(row.figures),
        asked=asked,
        waiting=next((each for each in asked if each.state == "waiting"), None),
    )


def asked_periods(*, month: date) -> list[AskedPeriod]:
    """What was asked of a month, newest first."""
    return [
        AskedPeriod(
            id=row.id,
            month=row.month,
            action=PeriodAction(row.action),
            reason=row.reason,
            requested_by=row.requested_by,
            requested_at=row.requested_at,
            state=row.state,
            decided_by=row.decided_by,
            decided_at=row.decided_at,
        )
        for row in PeriodRequest.objects.filter(month=month).order_by("-requested_at", "-id")
    ]


def last_instant(month: date) -> datetime:
    """The last instant of a month of the books."""
    last = date.fromordinal(month_end(month).date().toordinal() - 1)
    return datetime.combine(last, time.max, tzinfo=UTC)


def hinders(*, month: date, now: datetime) -> list[Hinder]:
    """All that hinders the close of a month; nothing: it may be closed."""
    end = month_end(month)
    if now < end:
        return [Hinder(what=Hindrance.NOT_OVER, count=1, first=end.date().isoformat())]
    found = [
        _earlier_open(month),
        *_unbilled(end),
        _not_earned(month),
        *_wrong(month),
        *_days(month),
    ]
    return [each for each in found if each is not None and each.count]


def figures_of(*, month: date) -> list[dict[str, Any]]:
    """The trial balance at the end of a month, ready for JSON, in minor units."""
    return [
        {
            "account": row.account,
            "currency": row.currency,
            "debits": row.debits.minor,
            "credits": row.credits.minor,
        }
        for row in trial_balance(at=last_instant(month))
    ]


def first_period_drift() -> date | None:
    """The last closed month, if the journal no longer says what it said when the month was closed; nobody
    but who goes around the guards can bring that about."""
    row = AccountingPeriod.objects.filter(is_closed=True).order_by("-month").first()
    if row is None or figures_of(month=row.month) == row.figures:
        return None
    return row.month


def _figures(stored: Sequence[Mapping[str, Any]]) -> list[TrialRow]:
    return [
        TrialRow(
            account=each["account"],
            currency=each["currency"],
            debits=Money(each["debits"], each["currency"]),
            credits=Money(each["credits"], each["currency"]),
            balance=Money(each["debits"] - each["credits"], each["currency"]),
        )
        for each in stored
    ]


def _month_of(instant: datetime) -> date:
    return instant.astimezone(UTC).date().replace(day=1)


def _first_month() -> date | None:
    with cursor() as db:
        db.execute(
            "SELECT date_trunc('month', min(posted_at) AT TIME ZONE 'UTC')::date"
            "  FROM billing_journaltransaction"
        )
        (found,) = db.fetchone()
    first: date | None = found
    return first


def _states(months: Sequence[date]) -> dict[date, PeriodState]:
    closed = set(
        AccountingPeriod.objects.filter(month__in=months, is_closed=True).values_list(
            "month", flat=True
        )
    )
    last = AccountingPeriod.objects.filter(is_closed=True).order_by("-month").first()
    waiting = dict(
        PeriodRequest.objects.filter(month__in=months, state="waiting").values_list(
            "month", "action"
        )
    )
    states = {}
    for month in months:
        # A month without postings is closed with the one that follows it.
        is_closed = month in closed or (last is not None and month < last.month)
        if month in waiting:
            asked = PeriodState.REOPENING if is_closed else PeriodState.CLOSING
            states[month] = asked
        else:
            states[month] = PeriodState.CLOSED if is_closed else PeriodState.OPEN
    return states


def _movements(*, first: date, last: date) -> dict[date, tuple[int, tuple[Money, ...]]]:
    with cursor() as db:
        db.execute(
            """
            SELECT date_trunc('month', t.posted_at AT TIME ZONE 'UTC')::date AS month, e.currency,
                   count(DISTINCT t.id),
                   coalesce(-sum(e.amount_minor) FILTER (WHERE e.account = %(revenue)s), 0)::bigint
              FROM billing_journaltransaction t
              JOIN billing_journalentry e ON e.tenant_id = t.tenant_id AND e.transaction_id = t.id
             WHERE t.posted_at >= %(from)s AND t.posted_at < %(to)s
             GROUP BY 1, 2 ORDER BY 1, 2
            """,
            {
                "revenue": Account.REVENUE.value,
                "from": datetime.combine(first, time(), tzinfo=UTC),
                "to": month_end(last),
            },
        )
        found: dict[date, tuple[int, tuple[Money, ...]]] = {}
        for month, currency, transactions, revenue in db.fetchall():
            count, earned = found.get(month, (0, ()))
            found[month] = (count + transactions, (*earned, Money(revenue, currency)))
    return found


def _earlier_open(month: date) -> Hinder | None:
    with cursor() as db:
        db.execute(
            """
            SELECT count(*), min(month) FROM (
                SELECT DISTINCT date_trunc('month', posted_at AT TIME ZONE 'UTC')::date AS month
                  FROM billing_journaltransaction
                 WHERE posted_at < %(start)s AND posted_at >= coalesce((
                       SELECT (max(month) + interval '1 month')::timestamp AT TIME ZONE 'UTC'
                         FROM billing_accountingperiod WHERE is_closed), '-infinity')
            ) AS open_months
            """,
            {"start": datetime.combine(month, time(), tzinfo=UTC)},
        )
        count, first = db.fetchone()
    return (
        Hinder(what=Hindrance.EARLIER_OPEN, count=count, first=f"{first:%Y-%m}") if count else None
    )


def _unbilled(end: datetime) -> list[Hinder]:
    with cursor() as db:
        db.execute(
            """
            SELECT %(not_billed)s, count(*), min(t.key)
              FROM billing_subscription s JOIN tenants_tenant t ON t.id = s.tenant_id
             WHERE s.next_boundary_at < %(end)s AND s.parked_code = ''
            UNION ALL
            SELECT %(left_aside)s, count(*), min(t.key)
              FROM billing_subscription s JOIN tenants_tenant t ON t.id = s.tenant_id
             WHERE s.next_boundary_at < %(end)s AND s.parked_code <> ''
            UNION ALL
            SELECT %(drafts)s, count(*), min(t.key)
              FROM billing_invoice i JOIN tenants_tenant t ON t.id = i.tenant_id
             WHERE i.status = 'draft' AND i.finalize_at < %(end)s
            """,
            {
                "end": end,
                "not_billed": Hindrance.NOT_BILLED.value,
                "left_aside": Hindrance.LEFT_ASIDE.value,
                "drafts": Hindrance.DRAFTS.value,
            },
        )
        return [
            Hinder(what=Hindrance(what), count=count, first=first or "")
            for what, count, first in db.fetchall()
        ]


def _not_earned(month: date) -> Hinder | None:
    last = date.fromordinal(month_end(month).date().toordinal() - 1)
    recognized = last_recognized_day()
    if recognized is not None and recognized >= last:
        return None
    deferred = [
        row
        for row in trial_balance(at=last_instant(month))
        if row.account == Account.DEFERRED_REVENUE and row.balance.minor
    ]
    if not deferred:
        return None
    since = "" if recognized is None else recognized.isoformat()
    return Hinder(what=Hindrance.NOT_EARNED, count=len(deferred), first=since)


def _wrong(month: date) -> list[Hinder]:
    bounds = {"start": datetime.combine(month, time(), tzinfo=UTC), "end": month_end(month)}
    with cursor() as db:
        db.execute(
            """
            SELECT count(*), min(id::text) FROM (
                SELECT t.id FROM billing_journaltransaction t
                  LEFT JOIN billing_journalentry e ON e.tenant_id = t.tenant_id
                       AND e.transaction_id = t.id
                 WHERE t.posted_at >= %(start)s AND t.posted_at < %(end)s
                 GROUP BY t.id, e.currency HAVING coalesce(sum(e.amount_minor), 0) <> 0
            ) AS unbalanced
            """,
            bounds,
        )
        unbalanced = db.fetchone()
        db.execute(
            """
            SELECT count(*), min(number) FROM (
                SELECT i.number FROM billing_invoice i
                  LEFT JOIN billing_journaltransaction t ON t.tenant_id = i.tenant_id
                       AND t.kind = 'invoice' AND t.reference = 'invoice:' || i.id
                  LEFT JOIN billing_journalentry e ON e.tenant_id = t.tenant_id
                       AND e.transaction_id = t.id AND e.account = 'receivable'
                       AND e.currency = i.currency
                 WHERE i.number IS NOT NULL AND i.issued_at >= %(start)s AND i.issued_at < %(end)s
                 GROUP BY i.number, i.total_minor
                HAVING i.total_minor <> coalesce(sum(e.amount_minor), 0)
            ) AS drifted
            """,
            bounds,
        )
        drifted = db.fetchone()
    return [
        Hinder(what=Hindrance.UNBALANCED, count=unbalanced[0], first=unbalanced[1] or ""),
        Hinder(what=Hindrance.POSTED_OTHERWISE, count=drifted[0], first=drifted[1] or ""),
    ]


def _days(month: date) -> list[Hinder]:
    with cursor() as db:
        db.execute(
            "SELECT DISTINCT (posted_at AT TIME ZONE 'UTC')::date FROM billing_journaltransaction"
            " WHERE posted_at >= %s AND posted_at < %s ORDER BY 1",
            [datetime.combine(month, time(), tzinfo=UTC), month_end(month)],
        )
        posted = [day for (day,) in db.fetchall()]
    known = certified_days(days=posted)
    missing = [day for day in posted if day not in known]
    drifted = [day for day in posted if known.get(day) == CertificateState.DRIFTED]
    return [
        Hinder(what=what, count=len(days), first=days[0].isoformat() if days else "")
        for what, days in (
            (Hindrance.DRIFTED, drifted),
            (Hindrance.NOT_CERTIFIED, missing),
        )
    ]
