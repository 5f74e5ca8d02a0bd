"""Remove the files that no rule and no hold keeps."""

from datetime import datetime, timedelta
from typing import Any, Final

from billing.retention.domain import FileKind
from billing.retention.services.locking import lock_retention
from kernel import ids
from tenants.scope import system_scope
from work.connections import cursor

_FILES_AT_A_TIME: Final = 200

# A fapiao is of China; a statement's books are those of all sellers, of whom the longest rule counts, and one
# for ever keeps all.
_VOUCHER: Final = """
    JOIN LATERAL (SELECT r.country, r.years FROM billing_retentionrule r
                   WHERE r.kind = 'voucher' AND r.country IN ('', seller.country)
                   ORDER BY r.country DESC LIMIT 1) rule ON rule.years IS NOT NULL
"""
_BOOKS: Final = """
    JOIN LATERAL (SELECT (array_agg(one.country ORDER BY one.years DESC))[1] AS country,
                         max(one.years) AS years
                    FROM billing_seller seller
                    JOIN LATERAL (SELECT r.country, r.years FROM billing_retentionrule r
                                   WHERE r.kind = 'books' AND r.country IN ('', seller.country)
                                   ORDER BY r.country DESC LIMIT 1) one ON true
                  HAVING count(*) = count(one.years)) rule ON true
"""

# What is still owed is still needed: files of an open invoice stay.
_INVOICES: Final = f"""
    SELECT f.id, f.tenant_id, i.id AS document, i.number || '.pdf' AS name, f.sha256,
           (i.issued_at AT TIME ZONE i.timezone)::date AS issued_on, rule.country, rule.years
      FROM billing_invoicefile f
      JOIN billing_invoice i ON i.tenant_id = f.tenant_id AND i.id = f.invoice_id
           AND i.status <> 'open'
      JOIN billing_seller s ON s.code = i.seller_id
     CROSS JOIN LATERAL (SELECT coalesce(nullif(i.issuer ->> 'country', ''), s.country) AS country) seller
    {_VOUCHER}
"""  # noqa: S608  # nothing from outside
_CREDIT_NOTES: Final = f"""
    SELECT f.id, f.tenant_id, n.id AS document, n.number || '.pdf' AS name, f.sha256,
           (n.issued_at AT TIME ZONE n.timezone)::date AS issued_on, rule.country, rule.years
      FROM billing_creditnotefile f
      JOIN billing_creditnote n ON n.tenant_id = f.tenant_id AND n.id = f.credit_note_id
      JOIN billing_seller s ON s.code = n.seller_id
     CROSS JOIN LATERAL (SELECT coalesce(nullif(n.issuer ->> 'country', ''), s.country) AS country) seller
    {_VOUCHER}
"""  # noqa: S608  # nothing from outside
_FAPIAO: Final = f"""
    SELECT f.id, f.tenant_id, a.id AS document, 'fapiao-' || a.number AS name, f.sha256,
           a.issued_on, rule.country, rule.years
      FROM billing_fapiaofile f
      JOIN billing_fapiao a ON a.tenant_id = f.tenant_id AND a.id = f.fapiao_id
     CROSS JOIN (SELECT 'CN' AS country) seller
    {_VOUCHER}
"""  # noqa: S608  # nothing from outside
_STATEMENTS: Final = f"""
    SELECT f.id, f.tenant_id, s.id AS document, f.name, f.sha256, s.ends_on AS issued_on,
           rule.country, rule.years
      FROM billing_statementfile f
      JOIN billing_statement s ON s.tenant_id = f.tenant_id AND s.id = f.statement_id
    {_BOOKS}
"""  # noqa: S608  # nothing from outside
_CANDIDATES: Final = {
    FileKind.INVOICE: _INVOICES,
    FileKind.CREDIT_NOTE: _CREDIT_NOTES,
    FileKind.FAPIAO: _FAPIAO,
    FileKind.STATEMENT: _STATEMENTS,
}

_DELETES: Final = {
    FileKind.INVOICE: ["DELETE FROM billing_invoicefile WHERE id = ANY(%s)"],
    FileKind.CREDIT_NOTE: ["DELETE FROM billing_creditnotefile WHERE id = ANY(%s)"],
    FileKind.FAPIAO: ["DELETE FROM billing_fapiaofile WHERE id = ANY(%s)"],
    FileKind.STATEMENT: [
        "DELETE FROM billing_statementfilepart WHERE file_id = ANY(%s)",
        "DELETE FROM billing_statementfile WHERE id = ANY(%s)",
    ],
}


def remove_files(*, now: datetime) -> dict[FileKind, int]:
    """Remove what is beyond retention and under no legal hold, and write down what it was; gives how many
    files of each kind. Opens its own scopes; killed at any time, the next run goes on."""
    return {kind: _remove_all(kind, now=now) for kind in FileKind}


def _remove_all(kind: FileKind, *, now: datetime) -> int:
    removed = 0
    while found := _remove_some(kind, now=now):
        removed += found
    return removed


def _remove_some(kind: FileKind, *, now: datetime) -> int:
    with system_scope(purpose="remove files beyond retention"):
        lock_retention()
        with cursor() as db:
            db.execute(
                f"""
                SELECT c.*, make_date(extract(year FROM c.issued_on)::int + c.years, 12, 31)
                  FROM ({_CANDIDATES[kind]}) c
                 WHERE make_date(extract(year FROM c.issued_on)::int + c.years, 12, 31) < %(day)s
                   AND NOT EXISTS (SELECT 1 FROM billing_legalhold h
                                    WHERE h.tenant_id = c.tenant_id AND h.lifted_at IS NULL)
                 ORDER BY c.issued_on, c.id LIMIT %(limit)s
                """,  # noqa: S608  # nothing from outside
                # The last day must be over in every zone.
                {"day": (now - timedelta(days=1)).date(), "limit": _FILES_AT_A_TIME},
            )
            found: list[tuple[Any, ...]] = db.fetchall()
            if not found:
                return 0
            db.executemany(
                "INSERT INTO billing_removedfile (id, tenant_id, kind, file, document, name, sha256,"
                " issued_on, country, years, retained_until, removed_at)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                [
                    (ids.new_id(), tenant_id, kind.value, file_id, *told, now)
                    for file_id, tenant_id, *told in found
                ],
            )
            for statement in _DELETES[kind]:
                db.execute(statement, [[row[0] for row in found]])
    return len(found)
