"""The link between invoices and daily usage: the days in each line's working against the days as stored.

Needs a cross-tenant scope.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from billing.certificates.domain import (
    Check,
    CheckName,
    Finding,
    checked,
)
from billing.certificates.issued import ISSUED
from billing.certificates.keys import decoded, keys_of
from kernel.decimals import plain_text
from kernel.dimensions import passes
from kernel.period import Period, local_day
from metering import queries as metering
from work.connections import cursor

_DOCUMENTS_AT_A_TIME: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class _Billed:
    """One line's working: the days that its quantity was made of."""

    tenant_id: UUID
    tenant: str
    number: str
    line: int
    zone: ZoneInfo
    invoice_period: Period
    line_period: Period
    corrections: int
    aggregation: Mapping[str, Any]

    @property
    def meter(self) -> str:
        return str(self.aggregation["meter"])

    @property
    def span(self) -> metering.Span:
        return metering.Span(
            tenant_id=self.tenant_id,
            from_day=local_day(self.line_period.starts_at, self.zone),
            to_day=self.line_period.end_day(self.zone),
        )

    def series(self) -> Iterator[tuple[frozenset[str], Mapping[str, str]]]:
        """Daily values with the apps that they are summed over."""
        told = self.aggregation
        if "app" in told:
            yield frozenset({str(told["app"])}), told["days"]
        elif isinstance(told.get("apps"), list):
            yield frozenset(map(str, told["apps"])), told["days"]
        else:
            for app, part in told.get("apps", {}).items():
                yield frozenset({app}), part["days"]


def invoice_quantities(day: date) -> Check:
    """The days in the working of each line against daily usage: each value, and none left out.

    Usage that came after the document was rated is not in it: that is noted, and settled later.
    """
    compared = late = 0
    findings: list[Finding] = []
    for billed in _billed_usage(day):
        stored = _stored_usage(billed)
        for each in billed:
            wrong = []
            for apps, days in each.series():
                values = _summed(each, apps, stored)
                wanted = set(days)
                if int(each.aggregation["day_count"]) == _day_count(each.span):
                    wanted |= set(values)  # all days were served, so none may be left out
                compared += len(wanted)
                wrong += [
                    (moment, days.get(moment, "0"), values.get(moment, Decimal(0)))
                    for moment in sorted(wanted)
                    if Decimal(days.get(moment, "0")) != values.get(moment, Decimal(0))
                ]
            if wrong and _has_late_usage(each):
                late += len(wrong)
                continue
            findings += [
                Finding(
                    code="quantity_differs",
                    where={
                        "tenant": each.tenant,
                        "invoice": each.number,
                        "line": each.line,
                        "meter": each.meter,
                        "day": moment,
                        "billed": plain_text(Decimal(billed_value)),
                        "stored": plain_text(value),
                    },
                )
                for moment, billed_value, value in wrong
            ]
    return checked(CheckName.INVOICE_QUANTITIES, compared=compared, findings=findings, noted=late)


def _billed_usage(day: date) -> Iterator[list[_Billed]]:
    """The lines on usage of the invoices issued on the day, some hundred invoices at a time."""
    after = ""
    while True:
        with cursor() as db:
            db.execute(
                f"""
                WITH issued AS (
                    SELECT * FROM billing_invoice
                     WHERE number > %(after)s AND {ISSUED}
                     ORDER BY number LIMIT %(most)s
                )
                SELECT i.number, i.tenant_id, t.key, i.timezone,
                       coalesce(own.period_starts_at, i.period_starts_at),
                       coalesce(own.period_ends_at, i.period_ends_at),
                       coalesce(own.corrections_counted, i.corrections_counted), l.position,
                       l.period_starts_at, l.period_ends_at,
                       l.explanation -> 'aggregation' ->> 'meter', l.explanation -> 'aggregation'
                  FROM issued i
                  JOIN tenants_tenant t ON t.id = i.tenant_id
                  LEFT JOIN billing_invoiceline l ON l.tenant_id = i.tenant_id
                       AND l.invoice_id = i.id AND l.kind = 'usage'
                       AND l.explanation ? 'aggregation'
                  -- The document that a consolidated line was taken from: its own period counts.
                  LEFT JOIN billing_invoice own ON own.tenant_id = l.tenant_id
                       AND own.subscription_id = l.subscription_id
                       AND own.kind = 'subscription' AND own.boundary_at = i.boundary_at
                 ORDER BY i.number, l.position
                """,  # noqa: S608  # nothing from outside
                {"day": day, "after": after, "most": _DOCUMENTS_AT_A_TIME},
            )
            rows = db.fetchall()
        if not rows:
            return
        after = rows[-1][0]
        yield [
            _Billed(
                number=number,
                tenant_id=tenant_id,
                tenant=tenant,
                zone=ZoneInfo(zone),
                invoice_period=Period(starts_at, ends_at),
                corrections=corrections,
                line=position,
                line_period=Period(line_starts_at, line_ends_at),
                aggregation=decoded(aggregation),
            )
            for (
                number,
                tenant_id,
                tenant,
                zone,
                starts_at,
                ends_at,
                corrections,
                position,
                line_starts_at,
                line_ends_at,
                meter,
                aggregation,
            ) in rows
            if meter is not None
        ]


def _stored_usage(
    billed: Sequence[_Billed],
) -> Mapping[tuple[UUID, str], list[tuple[str, str, date, Decimal]]]:
    """Daily usage of the lines' days by tenant and meter: app, dimensions, day, value."""
    if not billed:
        return {}
    _, apps = keys_of({each.tenant_id for each in billed})
    found: dict[tuple[UUID, str], list[tuple[str, str, date, Decimal]]] = defaultdict(list)
    for row in metering.usage_of_spans(
        spans=[each.span for each in billed], meters=sorted({each.meter for each in billed})
    ):
        found[row.tenant_id, row.meter].append((apps[row.app_id], row.kind, row.day, row.value))
    return found


def _summed(
    each: _Billed,
    apps: frozenset[str],
    stored: Mapping[tuple[UUID, str], Sequence[tuple[str, str, date, Decimal]]],
) -> dict[str, Decimal]:
    wanted = {
        name: frozenset(values) for name, values in each.aggregation.get("filter", {}).items()
    }
    values: dict[str, Decimal] = defaultdict(Decimal)
    for app, kind, day, value in stored.get((each.tenant_id, each.meter), ()):
        if app in apps and each.span.from_day <= day < each.span.to_day and passes(kind, wanted):
            values[day.isoformat()] += value
    return values


def _day_count(span: metering.Span) -> int:
    return (span.to_day - span.from_day) // timedelta(days=1)


def _has_late_usage(each: _Billed) -> bool:
    """Whether days of the document's period were corrected after it was rated."""
    (count,) = metering.correction_counts(
        spans=[
            metering.Span(
                tenant_id=each.tenant_id,
                from_day=local_day(each.invoice_period.starts_at, each.zone),
                to_day=each.invoice_period.end_day(each.zone),
            )
        ]
    )
    return count > each.corrections
