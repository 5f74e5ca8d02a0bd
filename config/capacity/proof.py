"""What a billing run left behind, as lines of text that are the same however often it was disturbed.

Only what may differ is left out: ids, numbers and when a document was issued.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from django.db import connections

from work.connections import OWNER

# With all of a document's lines, and what was posted and announced of it.
_DOCUMENTS: Final = """
SELECT concat_ws(' ', t.key, i.kind, i.boundary_at, i.status, i.currency, i.period_starts_at,
                 i.period_ends_at, i.finalize_at, i.subtotal_minor, i.discount_minor, i.tax_minor,
                 i.total_minor, i.number IS NOT NULL, i.buyer, encode(i.content_hash, 'hex'),
                 (SELECT string_agg(concat_ws(' ', l.position, l.key, l.kind, l.timing, l.app_key,
                                    l.description, l.quantity, l.unit_price, l.amount_minor,
                                    l.discount_minor, l.tax_minor, l.period_starts_at,
                                    l.period_ends_at, l.plan_version_id, l.explanation),
                                    ' | ' ORDER BY l.position)
                    FROM billing_invoiceline l WHERE l.tenant_id = i.tenant_id AND l.invoice_id = i.id),
                 (SELECT string_agg(concat_ws(' ', e.account, e.currency, e.amount_minor), ' | '
                                    ORDER BY e.account, e.amount_minor)
                    FROM billing_journaltransaction j JOIN billing_journalentry e
                         ON e.tenant_id = j.tenant_id AND e.transaction_id = j.id
                   WHERE j.tenant_id = i.tenant_id AND j.kind = 'invoice'
                     AND j.reference = 'invoice:' || i.id),
                 (SELECT count(*) FROM work_outbox o WHERE o.tenant_id = i.tenant_id
                     AND o.topic = 'invoice.finalized' AND o.key = i.id::text))
  FROM billing_invoice i JOIN tenants_tenant t ON t.id = i.tenant_id
 ORDER BY t.key, i.kind, i.boundary_at, i.id
"""
_AT_A_TIME: Final = 2_000


def write_result(path: Path) -> int:
    """Write a line for each document into the file; gives how many. Memory stays flat."""
    documents = 0
    with path.open("w", encoding="utf-8") as file:
        for line in _lines():
            file.write(line.replace("\n", " ") + "\n")
            documents += 1
    return documents


def first_difference(one: Path, other: Path) -> str:
    """What differs first between two results, shortened; empty where they are the same bytes."""
    with one.open(encoding="utf-8") as left, other.open(encoding="utf-8") as right:
        for number, line in enumerate(left, start=1):
            beside = right.readline()
            if line != beside:
                return f"line {number}: {line[:300]!r} and {beside[:300]!r}"
        rest = right.readline()
        return f"more: {rest[:300]!r}" if rest else ""


def faults(
    *,
    difference: str,
    books_agree: bool,
    found_again: int,
    ahead: Sequence[str],
    asked: int,
    dealt: int,
) -> list[str]:
    """What doesn't hold, in words; nothing where the proof is whole."""
    found = []
    if dealt < asked:
        found.append(f"Of {asked} blows only {dealt} fell before the run was over.")
    if difference:
        found.append(f"The documents differ from those of the undisturbed run: {difference}")
    if not books_agree:
        found.append("The books do not agree, or numbers have a gap; `books` names it.")
    if found_again:
        found.append(f"A second run found {found_again} documents that the first had left out.")
    if ahead:
        found.append(f"Begun before its time, by a wrong clock: {', '.join(ahead)}")
    return found


def _lines() -> Iterator[str]:
    connection = connections[OWNER]
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(f"DECLARE results NO SCROLL CURSOR FOR {_DOCUMENTS}")
        while True:
            cursor.execute(f"FETCH {_AT_A_TIME} FROM results")
            rows = cursor.fetchall()
            if not rows:
                break
            yield from (line for (line,) in rows)
        cursor.execute("COMMIT")
