"""The links of the chain, each by its own statement, and the certificates that were made.

All need a cross-tenant scope.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from billing.certificates.domain import (
    Check,
    CheckName,
    CurrencyFigures,
    Finding,
    MeterFigures,
    Reconciliation,
    checked,
    is_over_everywhere,
)
from billing.certificates.models import Certificate
from kernel.decimals import plain_text
from kernel.dimensions import passes
from kernel.money import Money
from kernel.period import Period, local_day
from metering import queries as metering
from metering import reconciliation as usage_of_day
from metering.retention.queries import first_recountable_day
from tenants.models import App, Tenant
from work.connections import cursor

_DOCUMENTS_AT_A_TIME: Final = 500

# Documents of a day: issued on it in their own zone. The first two bounds find them by the index.
_ISSUED = """
    issued_at >= %(day)s::date - interval '1 day' AND issued_at < %(day)s::date + interval '2 days'
    AND (issued_at AT TIME ZONE timezone)::date = %(day)s::date
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRow:
    """A certificate as lists show it."""

    id: UUID
    day: date
    version: int
    state: str
    differences: int
    made_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateView:
    """A certificate whole."""

    id: UUID
    day: date
    version: int
    state: str
    document: Mapping[str, Any]
    text: str
    public_key: bytes
    signature: bytes
    made_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnDocument:
    """A document of a tenant issued on a day, and what was posted for it: credit notes are negative."""

    number: str
    total: Money
    posted: Money


def own_documents(*, tenant_id: UUID, day: date) -> list[OwnDocument]:
    """A tenant's part of what a day's certificate says of documents; in the tenant's scope or a wider
    one."""
    with cursor() as db:
        db.execute(
            f"""
            WITH {_POSTED}
            SELECT number, currency, total_minor, minor FROM posted
             WHERE number IN (
                SELECT number FROM billing_invoice WHERE tenant_id = %(tenant)s::uuid AND {_ISSUED}
                UNION ALL
                SELECT number FROM billing_creditnote WHERE tenant_id = %(tenant)s::uuid AND {_ISSUED})
             ORDER BY number
            """,  # noqa: S608  # nothing from outside
            {"day": day, "tenant": str(tenant_id)},
        )
        return [
            OwnDocument(
                number=number, total=Money(total, currency), posted=Money(int(posted), currency)
            )
            for number, currency, total, posted in db.fetchall()
        ]


def reconcile(*, day: date, now: datetime) -> Reconciliation:
    """Compare all that the day left behind: the reports of gateways, events, daily usage, the invoices
    and credit notes issued on it in their own zone, and the journal. Changes nothing.

    Counts what has been rolled up; a caller that must count everything committed rolls it up first.
    """
    return Reconciliation(
        day=day,
        is_closed=is_over_everywhere(day=day, now=now) and not usage_of_day.open_tenants(day=day),
        checks=[
            _reports(day),
            _events(day),
            _closed_days(day),
            _invoice_quantities(day),
            _invoice_lines(day),
            _ledger(day),
        ],
        meters=[
            MeterFigures(meter=each.meter, values=each.values, total=f"{each.total:f}")
            for each in usage_of_day.meter_days(day=day)
        ],
        currencies=_currencies(day),
    )


def certificate_rows(*, limit: int, offset: int = 0) -> list[CertificateRow]:
    """Newest day first, of a day the newest version."""
    return [
        CertificateRow(
            id=row.id,
            day=row.day,
            version=row.version,
            state=row.state,
            differences=sum(check["differences"] for check in row.document["checks"]),
            made_at=row.made_at,
        )
        for row in Certificate.objects.order_by("-day", "-version")[offset : offset + limit]
    ]


def certificate_count() -> int:
    return Certificate.objects.count()


def latest_certificate(*, day: date) -> CertificateView | None:
    """The newest version of a day's certificate."""
    return _view(Certificate.objects.filter(day=day).order_by("-version").first())


def find_certificate(*, certificate_id: UUID) -> CertificateView | None:
    return _view(Certificate.objects.filter(id=certificate_id).first())


def certified_days(*, days: Sequence[date]) -> dict[date, str]:
    """Those of the days that have a certificate, each with the state of its newest version."""
    rows = Certificate.objects.filter(day__in=list(days)).order_by("day", "version")
    return dict(rows.values_list("day", "state"))


def _view(row: Certificate | None) -> CertificateView | None:
    if row is None:
        return None
    return CertificateView(
        id=row.id,
        day=row.day,
        version=row.version,
        state=row.state,
        document=row.document,
        text=row.text,
        public_key=bytes(row.public_key),
        signature=bytes(row.signature),
        made_at=row.made_at,
    )


def _reports(day: date) -> Check:
    reports, gaps = usage_of_day.reports_of(day=day)
    return checked(
        CheckName.REPORTS,
        compared=reports,
        findings=[
            Finding(
                code="reports_missing",
                where={
                    "gateway": gap.gateway,
                    "epoch": gap.epoch,
                    "first": gap.first,
                    "last": gap.last,
                },
            )
            for gap in gaps
        ],
    )


def _events(day: date) -> Check:
    values = sum(each.values for each in usage_of_day.meter_days(day=day))
    first = first_recountable_day()
    are_gone = first is not None and day < first
    if are_gone and not usage_of_day.recounted_values(day=day):
        return checked(CheckName.EVENTS, compared=0, findings=[], noted=values)
    recount = (usage_of_day.kept_recount_of if are_gone else usage_of_day.recount_of)(day=day)
    tenants, apps = _keys({each.tenant_id for each in recount.differences})
    findings = [
        Finding(
            code="usage_differs",
            where={
                "tenant": tenants.get(each.tenant_id, str(each.tenant_id)),
                "app": apps.get(each.app_id, str(each.app_id)),
                "meter": each.meter,
                "kind": each.kind,
                "stored": f"{each.stored:f}",
                "recounted": f"{each.recounted:f}",
            },
        )
        for each in recount.differences
    ]
    if not recount.is_complete:
        findings.append(Finding(code="too_many_differences", where={}))
    return checked(CheckName.EVENTS, compared=values, findings=findings, noted=recount.recorded)


def _closed_days(day: date) -> Check:
    changed = [tenant_id for tenant_id, _ in metering.changed_closed_days(day=day)]
    tenants, _ = _keys(set(changed))
    return checked(
        CheckName.CLOSED_DAYS,
        compared=usage_of_day.closed_tenants(day=day),
        findings=[
            Finding(
                code="closed_day_changed",
                where={"tenant": tenants.get(each, str(each)), "day": day.isoformat()},
            )
            for each in changed
        ],
    )


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


def _invoice_quantities(day: date) -> Check:
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
                     WHERE number > %(after)s AND {_ISSUED}
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
                aggregation=_decoded(aggregation),
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
    _, apps = _keys({each.tenant_id for each in billed})
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


def _invoice_lines(day: date) -> Check:
    """Each document's totals against the sums of its lines."""
    with cursor() as db:
        db.execute(
            f"""
            WITH documents AS (
                SELECT id, tenant_id, number, subtotal_minor, discount_minor, tax_minor, total_minor
                  FROM billing_invoice WHERE number IS NOT NULL AND {_ISSUED}
            ), lines AS (
                SELECT l.tenant_id, l.invoice_id AS id, sum(amount_minor) AS amount,
                       sum(l.discount_minor) AS discount, sum(l.tax_minor) AS tax
                  FROM billing_invoiceline l JOIN documents d ON d.tenant_id = l.tenant_id
                       AND d.id = l.invoice_id
                 GROUP BY l.tenant_id, l.invoice_id
            ), notes AS (
                SELECT id, tenant_id, number, total_minor, tax_minor
                  FROM billing_creditnote WHERE {_ISSUED}
            ), credited AS (
                SELECT l.tenant_id, l.credit_note_id AS id, sum(l.amount_minor) AS amount,
                       sum(l.tax_minor) AS tax
                  FROM billing_creditnoteline l JOIN notes n ON n.tenant_id = l.tenant_id
                       AND n.id = l.credit_note_id
                 GROUP BY l.tenant_id, l.credit_note_id
            ), figures AS (
                SELECT d.number, f.figure, f.said, f.found
                  FROM documents d LEFT JOIN lines l USING (tenant_id, id)
                 CROSS JOIN LATERAL (VALUES
                    ('subtotal', d.subtotal_minor, coalesce(l.amount, 0)),
                    ('discount', d.discount_minor, coalesce(l.discount, 0)),
                    ('tax', d.tax_minor, coalesce(l.tax, 0)),
                    ('total', d.total_minor, coalesce(l.amount - l.discount + l.tax, 0))
                 ) AS f (figure, said, found)
                UNION ALL
                SELECT n.number, f.figure, f.said, f.found
                  FROM notes n LEFT JOIN credited c USING (tenant_id, id)
                 CROSS JOIN LATERAL (VALUES
                    ('tax', n.tax_minor, coalesce(c.tax, 0)),
                    ('total', n.total_minor, coalesce(c.amount + c.tax, 0))
                 ) AS f (figure, said, found)
            )
            SELECT count(DISTINCT number), coalesce(
                     json_agg(json_build_array(number, figure, said, found)
                              ORDER BY number, figure) FILTER (WHERE said <> found), '[]')
              FROM figures
            """,  # noqa: S608  # nothing from outside
            {"day": day},
        )
        compared, wrong = db.fetchone()
    return checked(
        CheckName.INVOICE_LINES,
        compared=compared,
        findings=[
            Finding(
                code="lines_differ",
                where={"document": number, "figure": figure, "said": said, "lines": found},
            )
            for number, figure, said, found in _decoded(wrong)
        ],
    )


# What a document posted to those who owe or are owed: a credit note takes both down.
_POSTED = f"""
    documents AS (
        SELECT tenant_id, number, currency, total_minor, 'invoice' AS kind,
               'invoice:' || id AS reference
          FROM billing_invoice WHERE number IS NOT NULL AND {_ISSUED}
        UNION ALL
        SELECT tenant_id, number, currency, -total_minor, 'credit_note', 'credit_note:' || id
          FROM billing_creditnote WHERE {_ISSUED}
    ), posted AS (
        SELECT d.number, d.currency, d.total_minor, coalesce(sum(e.amount_minor), 0) AS minor
          FROM documents d
          LEFT JOIN billing_journaltransaction t ON t.tenant_id = d.tenant_id
               AND t.kind = d.kind AND t.reference = d.reference
          LEFT JOIN billing_journalentry e ON e.tenant_id = t.tenant_id AND e.transaction_id = t.id
               AND e.currency = d.currency AND e.account IN ('receivable', 'customer_credit')
         GROUP BY d.number, d.currency, d.total_minor
    )
"""  # noqa: S608  # nothing from outside


def _ledger(day: date) -> Check:
    """Each document's total against what was posted for it; each transaction of the day against zero."""
    with cursor() as db:
        db.execute(
            f"""
            WITH {_POSTED}
            SELECT count(*), coalesce(
                     json_agg(json_build_array(number, total_minor, minor) ORDER BY number)
                       FILTER (WHERE total_minor <> minor), '[]')
              FROM posted
            """,  # noqa: S608  # nothing from outside
            {"day": day},
        )
        documents, wrong = db.fetchone()
        db.execute(
            """
            WITH sums AS (
                SELECT t.id, e.currency, coalesce(sum(e.amount_minor), 0) AS rest
                  FROM billing_journaltransaction t
                  LEFT JOIN billing_journalentry e ON e.tenant_id = t.tenant_id
                       AND e.transaction_id = t.id
                 WHERE t.posted_at >= %(day)s::timestamp AT TIME ZONE 'UTC'
                   AND t.posted_at < (%(day)s::timestamp + interval '1 day') AT TIME ZONE 'UTC'
                 GROUP BY t.id, e.currency
            )
            SELECT count(DISTINCT id), coalesce(
                     json_agg(json_build_array(id, currency, rest) ORDER BY id)
                       FILTER (WHERE rest <> 0), '[]')
              FROM sums
            """,
            {"day": day},
        )
        transactions, unbalanced = db.fetchone()
    return checked(
        CheckName.LEDGER,
        compared=documents + transactions,
        findings=[
            *(
                Finding(
                    code="posting_differs",
                    where={"document": number, "total_minor": total, "posted_minor": posted},
                )
                for number, total, posted in _decoded(wrong)
            ),
            *(
                Finding(
                    code="unbalanced_transaction",
                    where={"transaction": each, "currency": currency or "", "rest_minor": rest},
                )
                for each, currency, rest in _decoded(unbalanced)
            ),
        ],
    )


def _currencies(day: date) -> list[CurrencyFigures]:
    with cursor() as db:
        db.execute(
            f"""
            WITH {_POSTED}
            SELECT currency, count(*), sum(total_minor)::bigint, sum(minor)::bigint
              FROM posted GROUP BY currency ORDER BY currency
            """,  # noqa: S608  # nothing from outside
            {"day": day},
        )
        return [
            CurrencyFigures(
                currency=currency, documents=documents, total_minor=total, posted_minor=posted
            )
            for currency, documents, total, posted in db.fetchall()
        ]


def _keys(tenant_ids: set[UUID]) -> tuple[dict[UUID, str], dict[UUID, str]]:
    """Keys of tenants and of their apps."""
    return (
        dict(Tenant.objects.filter(id__in=tenant_ids).values_list("id", "key")),
        dict(App.objects.filter(tenant_id__in=tenant_ids).values_list("id", "key")),
    )


def _decoded(found: Any) -> Any:
    """JSON as the driver gives it: Django's cursors leave jsonb as text."""
    return json.loads(found) if isinstance(found, str) else found
