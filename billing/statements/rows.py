"""The rows of the detail tables, read a few thousand at a time, in the caller's scope.

The movements are the ledger's; what a document says beside them comes along, so that the two can be
compared row by row. Lines and days are the documents'.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import connections

from billing.ledger.domain import BALANCE_ACCOUNTS
from billing.statements.domain.states import DetailTable, MovementKind
from billing.statements.domain.tables import Row
from kernel.decimals import trimmed
from kernel.money import Money
from kernel.period import Period, local_day
from work.connections import current_alias

_ROWS_AT_A_TIME: Final = 2_000

# What a reference names, as a uuid; nothing where it is none of ours.
_NAMED: Final = """
    CASE WHEN t.reference ~ '^(invoice|credit_note|payment|lot|grant):[0-9a-f-]{36}$'
         THEN split_part(t.reference, ':', 2)::uuid END
"""

_POSTED: Final = f"""
    SELECT t.id, t.tenant_id, t.kind, t.reference, t.description, t.posted_at, {_NAMED} AS named
      FROM billing_journaltransaction t
     WHERE t.tenant_id = %(tenant)s
       AND t.posted_at >= %(starts_at)s AND t.posted_at < %(ends_at)s
"""  # noqa: S608  # nothing from outside

_MOVEMENTS: Final = f"""
    SELECT t.posted_at, t.id, t.kind, t.description,
           CASE t.kind WHEN 'credit_note' THEN n.number
                       WHEN 'payment' THEN m.external_id ELSE i.number END,
           CASE t.kind WHEN 'invoice' THEN (i.issued_at AT TIME ZONE i.timezone)::date
                       WHEN 'credit_note' THEN (n.issued_at AT TIME ZONE n.timezone)::date
                       WHEN 'payment' THEN m.received_on END,
           CASE t.kind WHEN 'invoice' THEN i.due_on END,
           e.amount_minor::bigint,
           CASE t.kind WHEN 'invoice' THEN i.total_minor
                       WHEN 'credit_note' THEN -n.to_receivable_minor
                       WHEN 'payment' THEN -m.allocated_minor
                       WHEN 'balance_draw' THEN (
                           SELECT -sum(d.amount_minor)::bigint FROM billing_balancedraw d
                            WHERE d.tenant_id = t.tenant_id AND d.invoice_id = t.named) END
      FROM ({_POSTED}) t
      JOIN LATERAL (
           SELECT sum(amount_minor) AS amount_minor FROM billing_journalentry
            WHERE tenant_id = t.tenant_id AND transaction_id = t.id
              AND currency = %(currency)s AND account = 'receivable'
           HAVING count(*) > 0) e ON true
      LEFT JOIN billing_invoice i ON t.reference LIKE 'invoice:%%'
           AND i.tenant_id = t.tenant_id AND i.id = t.named
      LEFT JOIN billing_creditnote n ON t.kind = 'credit_note'
           AND n.tenant_id = t.tenant_id AND n.id = t.named
      LEFT JOIN billing_payment m ON t.kind = 'payment'
           AND m.tenant_id = t.tenant_id AND m.id = t.named
     ORDER BY t.posted_at, t.id
"""  # noqa: S608  # nothing from outside

_BALANCE: Final = f"""
    SELECT t.posted_at, t.id, t.kind, e.account,
           CASE WHEN t.kind = 'payment' THEN m.external_id WHEN t.kind = 'credit_note' THEN n.number
                WHEN t.reference LIKE 'invoice:%%' THEN i.number END,
           t.description, -e.amount_minor::bigint
      FROM ({_POSTED}) t
      JOIN LATERAL (
           SELECT account, sum(amount_minor) AS amount_minor FROM billing_journalentry
            WHERE tenant_id = t.tenant_id AND transaction_id = t.id
              AND currency = %(currency)s AND account = ANY(%(accounts)s)
            GROUP BY account) e ON true
      LEFT JOIN billing_invoice i ON t.reference LIKE 'invoice:%%'
           AND i.tenant_id = t.tenant_id AND i.id = t.named
      LEFT JOIN billing_creditnote n ON t.kind = 'credit_note'
           AND n.tenant_id = t.tenant_id AND n.id = t.named
      LEFT JOIN billing_payment m ON t.kind = 'payment'
           AND m.tenant_id = t.tenant_id AND m.id = t.named
     ORDER BY t.posted_at, t.id, e.account
"""  # noqa: S608  # nothing from outside

_LINES: Final = f"""
    SELECT t.posted_at AS posted_at, i.id AS document_id, i.number, 'invoice', l.position, l.app_key,
           l.key, l.explanation -> 'aggregation' ->> 'meter', l.kind, l.description,
           l.period_starts_at, l.period_ends_at, i.timezone, l.quantity, l.unit_price,
           l.amount_minor, l.discount_minor, l.tax_percent, l.tax_minor
      FROM ({_POSTED}) t
      JOIN billing_invoice i ON i.tenant_id = t.tenant_id AND i.id = t.named
           AND i.currency = %(currency)s
      JOIN billing_invoiceline l ON l.tenant_id = i.tenant_id AND l.invoice_id = i.id
     WHERE t.kind = 'invoice'
    UNION ALL
    SELECT t.posted_at, n.id, n.number, 'credit_note', l.position, '', l.key, NULL, 'credit',
           l.description, l.period_starts_at, l.period_ends_at, n.timezone, NULL, NULL,
           -l.amount_minor, 0, l.tax_percent, -l.tax_minor
      FROM ({_POSTED}) t
      JOIN billing_creditnote n ON n.tenant_id = t.tenant_id AND n.id = t.named
           AND n.currency = %(currency)s
      JOIN billing_creditnoteline l ON l.tenant_id = n.tenant_id AND l.credit_note_id = n.id
     WHERE t.kind = 'credit_note'
     ORDER BY 1, 2, 5
"""  # noqa: S608  # nothing from outside


def _object(json: str) -> str:
    """The JSON where it is an object, else an empty one: what a line has not been rated from has none."""
    return f"CASE WHEN jsonb_typeof({json}) = 'object' THEN {json} ELSE '{{}}'::jsonb END"


_AGGREGATION: Final = "(l.explanation -> 'aggregation')"

# What each line was rated from: the days of its working, of one series or of each app.
_DAYS: Final = f"""
    SELECT i.number, l.position, series.app, {_AGGREGATION} ->> 'meter', day.key::date,
           day.value::numeric
      FROM ({_POSTED}) t
      JOIN billing_invoice i ON i.tenant_id = t.tenant_id AND i.id = t.named
           AND i.currency = %(currency)s
      JOIN billing_invoiceline l ON l.tenant_id = i.tenant_id AND l.invoice_id = i.id
     CROSS JOIN LATERAL (
           SELECT coalesce({_AGGREGATION} ->> 'app', l.app_key) AS app,
                  {_object(f"{_AGGREGATION} -> 'days'")} AS days
            UNION ALL
           SELECT each.key, {_object("each.value -> 'days'")}
             FROM jsonb_each({_object(f"{_AGGREGATION} -> 'apps'")}) each) series
     CROSS JOIN LATERAL jsonb_each_text(series.days) day
     WHERE t.kind = 'invoice'
"""  # noqa: S608  # nothing from outside

_DAYS_IN_ORDER: Final = f"{_DAYS} ORDER BY t.posted_at, i.id, l.position, series.app, day.key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """A movement of which its document says something else than the ledger, or that has none."""

    document: str
    kind: str
    posted: Money
    told: Money | None


class DetailReader:
    """The rows of one tenant, currency and period; instants are shown in `zone`."""

    def __init__(
        self, *, tenant_id: UUID, currency: str, period: Period, zone: ZoneInfo, opening: Money
    ) -> None:
        self._tenant_id = tenant_id
        self._currency = currency
        self._period = period
        self._zone = zone
        self._opening = opening
        self.mismatch: Mismatch | None = None
        """The first one, known once the movements were read."""

    def rows(self, table: DetailTable) -> Iterator[Row]:
        """The rows of a table, in their order."""
        return {
            DetailTable.MOVEMENTS: self._movements,
            DetailTable.BALANCE: self._balance,
            DetailTable.LINES: self._lines,
            DetailTable.DAYS: self._days,
        }[table]()

    def _movements(self) -> Iterator[Row]:
        owed = self._opening
        for at, transaction, kind, description, number, on, due_on, minor, told in self._read(
            _MOVEMENTS
        ):
            amount = Money(minor, self._currency)
            owed += amount
            if kind in list(MovementKind) and told != minor and self.mismatch is None:
                self.mismatch = Mismatch(
                    document=number or "",
                    kind=kind,
                    posted=amount,
                    told=None if told is None else Money(told, self._currency),
                )
            yield (
                self._local(at), str(transaction), kind, number, description, on, due_on,
                self._currency, amount.amount, owed.amount,
            )  # fmt: skip

    def _balance(self) -> Iterator[Row]:
        kinds = {account.value: kind.value for kind, account in BALANCE_ACCOUNTS.items()}
        for at, transaction, kind, account, number, description, minor in self._read(
            _BALANCE, accounts=list(kinds)
        ):
            yield (
                self._local(at), str(transaction), kind, kinds[account], number, description,
                self._currency, self._amount(minor),
            )  # fmt: skip

    def _lines(self) -> Iterator[Row]:
        for (
            _, _, number, document_kind, position, app, key, meter, kind, description, starts_at,
            ends_at, zone, quantity, unit_price, minor, discount, tax_percent, tax,
        ) in self._read(_LINES):  # fmt: skip
            first, last = _days_of(starts_at, ends_at, ZoneInfo(zone))
            yield (
                number, document_kind, position, app, key, meter, kind, description, first, last,
                _trimmed(quantity), _trimmed(unit_price), self._currency, self._amount(minor), self._amount(discount),
                _trimmed(tax_percent), self._amount(tax), self._amount(minor - discount + tax),
            )  # fmt: skip

    def _days(self) -> Iterator[Row]:
        for number, position, app, meter, day, quantity in self._read(_DAYS_IN_ORDER):
            yield number, position, app, meter, day, _trimmed(quantity)

    def _amount(self, minor: int) -> Decimal:
        return Money(minor, self._currency).amount

    def _local(self, instant: datetime) -> datetime:
        return instant.astimezone(self._zone)

    def _read(self, statement: str, **given: Any) -> Iterator[Any]:
        """Through a cursor of the server's, so that memory stays flat."""
        with connections[current_alias()].chunked_cursor() as db:
            db.execute(
                statement,
                {
                    "tenant": self._tenant_id,
                    "currency": self._currency,
                    "starts_at": self._period.starts_at,
                    "ends_at": self._period.ends_at,
                    **given,
                },
            )
            while rows := db.fetchmany(_ROWS_AT_A_TIME):
                yield from rows


def _days_of(starts_at: datetime, ends_at: datetime, zone: ZoneInfo) -> tuple[date, date]:
    first = local_day(starts_at, zone)
    return first, max(first, local_day(ends_at - timedelta(microseconds=1), zone))


def _trimmed(number: Decimal | None) -> Decimal | None:
    return None if number is None else trimmed(number)
