"""The links from documents to their lines and to the ledger, each by one statement.

All but `own_documents` need a cross-tenant scope.
"""

from dataclasses import dataclass
from datetime import date
from uuid import UUID

from billing.certificates.domain import (
    Check,
    CheckName,
    CurrencyFigures,
    Finding,
    checked,
)
from billing.certificates.issued import ISSUED, POSTED
from billing.certificates.keys import decoded
from kernel.money import Money
from work.connections import cursor


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
            WITH {POSTED}
            SELECT number, currency, total_minor, minor FROM posted
             WHERE number IN (
                SELECT number FROM billing_invoice WHERE tenant_id = %(tenant)s::uuid AND {ISSUED}
                UNION ALL
                SELECT number FROM billing_creditnote WHERE tenant_id = %(tenant)s::uuid AND {ISSUED})
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


def invoice_lines(day: date) -> Check:
    """Each document's totals against the sums of its lines."""
    with cursor() as db:
        db.execute(
            f"""
            WITH documents AS (
                SELECT id, tenant_id, number, subtotal_minor, discount_minor, tax_minor, total_minor
                  FROM billing_invoice WHERE number IS NOT NULL AND {ISSUED}
            ), lines AS (
                SELECT l.tenant_id, l.invoice_id AS id, sum(amount_minor) AS amount,
                       sum(l.discount_minor) AS discount, sum(l.tax_minor) AS tax
                  FROM billing_invoiceline l JOIN documents d ON d.tenant_id = l.tenant_id
                       AND d.id = l.invoice_id
                 GROUP BY l.tenant_id, l.invoice_id
            ), notes AS (
                SELECT id, tenant_id, number, total_minor, tax_minor
                  FROM billing_creditnote WHERE {ISSUED}
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
            for number, figure, said, found in decoded(wrong)
        ],
    )


def ledger(day: date) -> Check:
    """Each document's total against what was posted for it; each transaction of the day against zero."""
    with cursor() as db:
        db.execute(
            f"""
            WITH {POSTED}
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
                for number, total, posted in decoded(wrong)
            ),
            *(
                Finding(
                    code="unbalanced_transaction",
                    where={"transaction": each, "currency": currency or "", "rest_minor": rest},
                )
                for each, currency, rest in decoded(unbalanced)
            ),
        ],
    )


def currency_figures(day: date) -> list[CurrencyFigures]:
    with cursor() as db:
        db.execute(
            f"""
            WITH {POSTED}
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
