"""Whether invoices, what settled them and their numbers agree; what the journal alone doesn't tell.

All need a cross-tenant scope and name the first row that is wrong.
"""

from dataclasses import dataclass
from uuid import UUID

from work.connections import cursor


@dataclass(frozen=True, slots=True, kw_only=True)
class LineDrift:
    """An issued invoice whose lines don't sum to its subtotal, in minor units; `figure` tells whether
    it is that, their discounts or their taxes."""

    invoice_id: UUID
    number: str
    figure: str
    invoice_minor: int
    lines_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxDrift:
    """An issued invoice whose tax isn't what the journal says is owed, or of whose tax more went back
    by credit notes than it charged; `figure` tells which."""

    invoice_id: UUID
    number: str
    figure: str
    invoice_minor: int
    found_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementDrift:
    """An invoice that says of itself that more or less of it is paid than came in for it."""

    invoice_id: UUID
    number: str
    status: str
    paid_minor: int
    settled_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberGap:
    """A series in which a number is missing, or out of place; `expected` is the missing one's place."""

    series: str
    expected: int
    found: int


def first_line_drift() -> LineDrift | None:
    """The first issued invoice, by number, whose subtotal, discount or tax isn't the sum of its lines."""
    with cursor() as db:
        db.execute(
            """
            SELECT i.id, i.number, f.figure, f.invoice, f.lines
              FROM billing_invoice i
              LEFT JOIN (
                SELECT tenant_id, invoice_id, sum(amount_minor) AS amount,
                       sum(discount_minor) AS discount, sum(tax_minor) AS tax
                  FROM billing_invoiceline GROUP BY tenant_id, invoice_id
              ) AS l ON l.tenant_id = i.tenant_id AND l.invoice_id = i.id
             CROSS JOIN LATERAL (VALUES
                ('subtotal', i.subtotal_minor, coalesce(l.amount, 0)::bigint),
                ('discount', i.discount_minor, coalesce(l.discount, 0)::bigint),
                ('tax', i.tax_minor, coalesce(l.tax, 0)::bigint)) AS f (figure, invoice, lines)
             WHERE i.number IS NOT NULL AND f.invoice <> f.lines
             ORDER BY i.number, f.figure LIMIT 1
            """
        )
        row = db.fetchone()
    if row is None:
        return None
    return LineDrift(
        invoice_id=row[0], number=row[1], figure=row[2], invoice_minor=row[3], lines_minor=row[4]
    )


def first_tax_drift() -> TaxDrift | None:
    """The first issued invoice, by number, whose tax the journal or its credit notes contradict.

    A credit that is worked out for itself may round a line's tax up by one minor unit.
    """
    with cursor() as db:
        db.execute(
            """
            SELECT id, number, figure, invoice, found FROM (
                SELECT i.id, i.number, 'posted' AS figure, i.tax_minor AS invoice,
                       coalesce(-sum(e.amount_minor), 0)::bigint AS found, 0 AS slack
                  FROM billing_invoice i
                  LEFT JOIN billing_journaltransaction t ON t.tenant_id = i.tenant_id
                       AND t.kind = 'invoice' AND t.reference = 'invoice:' || i.id
                  LEFT JOIN billing_journalentry e ON e.transaction_id = t.id
                       AND e.account = 'tax_payable' AND e.currency = i.currency
                 WHERE i.number IS NOT NULL
                 GROUP BY i.id, i.number, i.tax_minor
                UNION ALL
                SELECT i.id, i.number, 'credited', sum(l.tax_minor)::bigint,
                       sum(c.tax)::bigint, sum(c.times)
                  FROM billing_invoiceline l
                  JOIN billing_invoice i ON i.tenant_id = l.tenant_id AND i.id = l.invoice_id
                  JOIN (SELECT tenant_id, invoice_line_id, sum(tax_minor) AS tax,
                               count(*) AS times
                          FROM billing_creditnoteline WHERE invoice_line_id IS NOT NULL
                         GROUP BY tenant_id, invoice_line_id) AS c
                    ON c.tenant_id = l.tenant_id AND c.invoice_line_id = l.id
                 GROUP BY i.id, i.number, l.tax_percent
            ) AS found
             WHERE figure = 'posted' AND found <> invoice
                OR figure = 'credited' AND found > invoice + slack
             ORDER BY number, figure LIMIT 1
            """
        )
        row = db.fetchone()
    if row is None:
        return None
    return TaxDrift(
        invoice_id=row[0], number=row[1], figure=row[2], invoice_minor=row[3], found_minor=row[4]
    )


def first_settlement_drift() -> SettlementDrift | None:
    """The first invoice, by number, whose paid part isn't what payments, balance and credit notes
    settled, or that is called paid while something is left."""
    with cursor() as db:
        db.execute(
            """
            SELECT i.id, coalesce(i.number, ''), i.status, i.paid_minor,
                   coalesce(s.settled, 0)::bigint
              FROM billing_invoice i
              LEFT JOIN (
                SELECT tenant_id, invoice_id, sum(minor) AS settled FROM (
                    SELECT tenant_id, invoice_id, amount_minor AS minor
                      FROM billing_paymentallocation
                    UNION ALL
                    SELECT tenant_id, invoice_id, amount_minor FROM billing_balancedraw
                    UNION ALL
                    SELECT tenant_id, invoice_id, to_receivable_minor FROM billing_creditnote
                     WHERE invoice_id IS NOT NULL
                ) AS parts GROUP BY tenant_id, invoice_id
              ) AS s ON s.tenant_id = i.tenant_id AND s.invoice_id = i.id
             WHERE i.paid_minor <> coalesce(s.settled, 0)
                OR i.status = 'paid' AND i.paid_minor <> i.total_minor
             ORDER BY i.number NULLS FIRST, i.id LIMIT 1
            """
        )
        row = db.fetchone()
    if row is None:
        return None
    return SettlementDrift(
        invoice_id=row[0], number=row[1], status=row[2], paid_minor=row[3], settled_minor=row[4]
    )


def first_number_gap() -> NumberGap | None:
    """The first place in a series of invoices or credit notes that isn't taken by its number.

    The counter row of a series tells of documents that are missing at its end.
    """
    with cursor() as db:
        db.execute(
            """
            WITH numbers AS (
                SELECT number FROM billing_invoice WHERE number IS NOT NULL
                UNION ALL
                SELECT number FROM billing_creditnote
            ), parts AS (
                SELECT regexp_replace(number, '-[0-9]+$', '') AS series,
                       substring(number FROM '[0-9]+$')::bigint AS found
                  FROM numbers
                UNION ALL
                SELECT prefix || '-' || year, last + 1 FROM billing_numberseries
            ), placed AS (
                SELECT series, found, row_number() OVER (PARTITION BY series ORDER BY found) AS place
                  FROM parts
            )
            SELECT series, place, found FROM placed WHERE found <> place
             ORDER BY series, place LIMIT 1
            """
        )
        row = db.fetchone()
    return None if row is None else NumberGap(series=row[0], expected=row[1], found=row[2])
