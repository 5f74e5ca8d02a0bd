"""The audit trail: who did what, when, to what, and what it was before; a hash chain per tenant.

A record's hash covers the previous record's hash and the record's canonical content, so
`verify_audit` names the first row that was changed, removed, inserted or swapped. That the end of a
chain was cut off is told by the heads that `tenants.services.audit_heads` exports. The chain's head
is locked while a record is added: two writers of one tenant queue up, those of others don't.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from django.db import connections

from kernel import ids
from kernel.array_literals import plain_array, text_array
from kernel.errors import Invalid
from tenants.models import AuditRecord
from work.connections import current_alias, cursor

GENESIS: Final = bytes(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a request came from."""

    request_id: str = ""
    address: str = ""


_NOWHERE = Origin()
_origin: ContextVar[Origin] = ContextVar("summit_audit_origin", default=_NOWHERE)


@contextmanager
def originating(origin: Origin) -> Iterator[None]:
    """Let records made inside the block carry `origin`."""
    token = _origin.set(origin)
    try:
        yield
    finally:
        _origin.reset(token)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One fact to be recorded. `tenant_id` None: the deployment's own trail."""

    tenant_id: UUID | None
    actor: str
    action: str
    target: str = ""
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenLink:
    """The first row of a chain that does not hold."""

    tenant_id: UUID | None
    sequence: int
    fault: str


def record(entry: Entry, *, now: datetime) -> None:
    """Add one record in the caller's transaction."""
    record_many([entry], now=now)


def record_many(entries: Sequence[Entry], *, now: datetime) -> None:
    """Add records in the caller's transaction, set-based over many tenants."""
    if not entries:
        return
    if not connections[current_alias()].in_atomic_block:
        raise Invalid("no_transaction", "An audit record belongs into its change's transaction.")
    origin = _origin.get()
    heads = _lock_heads({entry.tenant_id for entry in entries})
    rows = []
    for entry in entries:
        sequence, previous = heads[entry.tenant_id]
        row = AuditRecord(
            id=ids.new_id(),
            tenant_id=entry.tenant_id,
            sequence=sequence + 1,
            at=now,
            actor=entry.actor,
            action=entry.action,
            target=entry.target,
            before=entry.before,
            after=entry.after,
            reason=entry.reason,
            request_id=origin.request_id,
            address=origin.address,
            previous_hash=previous,
        )
        row.row_hash = _hash(row)
        heads[entry.tenant_id] = (row.sequence, row.row_hash)
        rows.append(row)
    _store(rows)


def _store(rows: Sequence[AuditRecord]) -> None:
    """One statement whose parameters are columns: for thousands of rows a fifth of the cost of as many lists of
    values."""
    with cursor() as execution:
        execution.execute(
            """
            INSERT INTO tenants_auditrecord (
                   id, tenant_id, sequence, at, actor, action, target, before, after, reason,
                   request_id, address, previous_hash, row_hash)
            SELECT n.id, n.tenant_id, n.sequence, n.at, n.actor, n.action, n.target,
                   nullif(n.before, '')::jsonb, nullif(n.after, '')::jsonb, n.reason, n.request_id,
                   n.address, decode(n.previous_hash, 'hex'), decode(n.row_hash, 'hex')
              FROM unnest(%s::uuid[], %s::uuid[], %s::bigint[], %s::timestamptz[], %s::text[],
                          %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
                          %s::text[], %s::text[], %s::text[])
                   AS n (id, tenant_id, sequence, at, actor, action, target, before, after, reason,
                         request_id, address, previous_hash, row_hash)
            """,
            [
                plain_array(row.id for row in rows),
                plain_array(row.tenant_id for row in rows),
                plain_array(row.sequence for row in rows),
                plain_array(row.at.isoformat() for row in rows),
                text_array(row.actor for row in rows),
                text_array(row.action for row in rows),
                text_array(row.target for row in rows),
                text_array("" if row.before is None else json.dumps(row.before) for row in rows),
                text_array("" if row.after is None else json.dumps(row.after) for row in rows),
                text_array(row.reason for row in rows),
                text_array(row.request_id for row in rows),
                text_array(row.address for row in rows),
                text_array(bytes(row.previous_hash).hex() for row in rows),
                text_array(bytes(row.row_hash).hex() for row in rows),
            ],
        )


def verify(*, batch: int = 5000) -> list[BrokenLink]:
    """The first broken link of every chain that is broken; reads all records once, in order."""
    broken: dict[UUID | None, BrokenLink] = {}
    expected: dict[UUID | None, tuple[int, bytes]] = {}
    for row in _in_order(batch):
        if row.tenant_id in broken:
            continue
        sequence, previous = expected.get(row.tenant_id, (0, GENESIS))
        fault = ""
        if row.sequence != sequence + 1:
            fault = f"record {sequence + 1} is missing"
        elif bytes(row.previous_hash) != previous:
            fault = "it does not follow the record before it"
        elif bytes(row.row_hash) != _hash(row):
            fault = "its content was changed"
        if fault:
            broken[row.tenant_id] = BrokenLink(
                tenant_id=row.tenant_id, sequence=row.sequence, fault=fault
            )
        expected[row.tenant_id] = (row.sequence, bytes(row.row_hash))
    return list(broken.values())


_FIRST: Final = (UUID(int=0), -(2**63))


def _in_order(batch: int) -> Iterator[AuditRecord]:
    """All records by chain and place, the deployment's own last; `batch` of them in memory."""
    tenant_id: UUID | None
    tenant_id, sequence = _FIRST
    while page := list(
        AuditRecord.objects.raw(
            "SELECT * FROM tenants_auditrecord WHERE (tenant_id, sequence) > (%s, %s)"
            " ORDER BY tenant_id, sequence LIMIT %s",
            [tenant_id, sequence, batch],
        )
    ):
        yield from page
        tenant_id, sequence = page[-1].tenant_id, page[-1].sequence
    _, sequence = _FIRST
    while page := list(
        AuditRecord.objects.raw(
            "SELECT * FROM tenants_auditrecord WHERE tenant_id IS NULL AND sequence > %s"
            " ORDER BY sequence LIMIT %s",
            [sequence, batch],
        )
    ):
        yield from page
        sequence = page[-1].sequence


def _lock_heads(tenant_ids: Iterable[UUID | None]) -> dict[UUID | None, tuple[int, bytes]]:
    """Lock each chain for this transaction and give its last sequence and hash."""
    wanted = sorted(tenant_ids, key=lambda each: each.bytes if each else b"")
    keys = [str(each) if each else "deployment" for each in wanted]
    real = [each for each in wanted if each]
    with cursor() as db:
        # In key order, so that two transactions that touch the same chains can't wait on each other.
        db.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('audit ' || chain, 0))"
            " FROM unnest(%s::text[]) WITH ORDINALITY AS chains(chain, position) ORDER BY position",
            [keys],
        )
        db.execute(
            "SELECT w.tenant_id, h.sequence, h.row_hash"
            "  FROM unnest(%s::uuid[]) AS w(tenant_id) CROSS JOIN LATERAL ("
            "    SELECT sequence, row_hash FROM tenants_auditrecord a"
            "     WHERE a.tenant_id = w.tenant_id ORDER BY sequence DESC LIMIT 1) AS h",
            [real],
        )
        found: list[tuple[UUID | None, int, Any]] = list(db.fetchall())
        if None in wanted:
            db.execute(
                "SELECT NULL, sequence, row_hash FROM tenants_auditrecord"
                " WHERE tenant_id IS NULL ORDER BY sequence DESC LIMIT 1"
            )
            found.extend(db.fetchall())
    heads: dict[UUID | None, tuple[int, bytes]] = dict.fromkeys(wanted, (0, GENESIS))
    for tenant_id, sequence, row_hash in found:
        heads[tenant_id] = (sequence, bytes(row_hash))
    return heads


def _hash(row: AuditRecord) -> bytes:
    content = [
        str(row.id),
        str(row.tenant_id) if row.tenant_id else None,
        row.sequence,
        row.at.astimezone(UTC).isoformat(),
        row.actor,
        row.action,
        row.target,
        row.before,
        row.after,
        row.reason,
        row.request_id,
        row.address,
    ]
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(bytes(row.previous_hash) + canonical.encode()).digest()
