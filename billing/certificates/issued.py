"""Which documents a day's certificate is about, and what was posted for them."""

from typing import Final

# Documents of a day: issued on it in their own zone. The first two bounds find them by the index.
ISSUED: Final = """
    issued_at >= %(day)s::date - interval '1 day' AND issued_at < %(day)s::date + interval '2 days'
    AND (issued_at AT TIME ZONE timezone)::date = %(day)s::date
"""

# What a document posted to those who owe or are owed: a credit note takes both down.
POSTED: Final = f"""
    documents AS (
        SELECT tenant_id, number, currency, total_minor, 'invoice' AS kind,
               'invoice:' || id AS reference
          FROM billing_invoice WHERE number IS NOT NULL AND {ISSUED}
        UNION ALL
        SELECT tenant_id, number, currency, -total_minor, 'credit_note', 'credit_note:' || id
          FROM billing_creditnote WHERE {ISSUED}
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
