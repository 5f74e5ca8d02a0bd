"""What is proven: the latest proof of an app and day, its hashes, and where one of them stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings

from kernel.errors import Conflict, Invalid, NotFound
from metering.ingest.domain.identity import user_key
from metering.ingest.queries import tenant_facts
from metering.meters.domain import ACTIVE_USERS, Meter
from metering.meters.queries import find_meter
from metering.proof.domain import (
    BLOCK,
    Statement,
    block_of,
    block_root,
    key_check,
    path_of,
    unpacked_blocks,
)
from metering.proof.models import UsageProof
from work.connections import cursor

MOST_HASHES: Final = 10_000
"""Hashes on one page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A signed root over who was counted, as it stands in the database.

    `corrections` is how many the day had when it was made.
    """

    statement: Statement
    blocks: Sequence[tuple[bytes, bytes]]
    corrections: int
    public_key: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenLeaf:
    """One identity in the tree, from 0, and the path that leads from it to the root."""

    identity: bytes
    position: int
    path: Sequence[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inclusion:
    """Whether an identity was counted: its own leaf, or those between which it would stand."""

    counted: bool
    leaves: Sequence[ProvenLeaf]


def provable_meter(key: str) -> Meter:
    """The meter of that key, if it counts different identities.

    Raises Invalid `unknown_meter`, `meter_without_proof`.
    """
    meter = find_meter(key)
    if not meter.counts_users:
        raise Invalid(
            "meter_without_proof",
            f"{meter.key} adds up or is read off; a proof tells who was counted, so ask for a meter of "
            "different users, such as dau.",
            field="meter",
        )
    return meter


def latest_proof(*, tenant_id: UUID, app_id: UUID, meter: str, day: date) -> Proof | None:
    """The newest version of the proof, if one was made."""
    rows = UsageProof.objects.filter(tenant_id=tenant_id, app_id=app_id, meter=meter, day=day)
    row = rows.order_by("-version").first()
    return None if row is None else proof_of(row)


def proof_of(row: UsageProof) -> Proof:
    """The proof that a row holds."""
    return Proof(
        statement=Statement(
            tenant_id=row.tenant_id,
            app_id=row.app_id,
            meter=row.meter,
            day=row.day,
            timezone=row.timezone,
            version=row.version,
            count=row.count,
            root=bytes(row.root),
            key_check=bytes(row.key_check),
            made_at=row.made_at,
        ),
        blocks=unpacked_blocks(bytes(row.blocks), count=row.count),
        corrections=row.corrections,
        public_key=bytes(row.public_key),
        signature=bytes(row.signature),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofVersion:
    """An earlier or the present version of a proof."""

    version: int
    count: int
    root: bytes
    made_at: datetime


def proof_versions(
    *, tenant_id: UUID, app_id: UUID, meter: str, day: date, most: int = 100
) -> list[ProofVersion]:
    """The versions of a proof, the newest first."""
    rows = UsageProof.objects.filter(tenant_id=tenant_id, app_id=app_id, meter=meter, day=day)
    return [
        ProofVersion(version=version, count=count, root=bytes(root), made_at=made_at)
        for version, count, root, made_at in rows.order_by("-version").values_list(
            "version", "count", "root", "made_at"
        )[:most]
    ]


def counted_hashes(
    *, tenant_id: UUID, app_id: UUID, meter: str, day: date, after: bytes = b"", most: int
) -> list[bytes]:
    """The identities that are counted, ascending, from the first one after `after`."""
    return _identities(
        tenant_id=tenant_id, app_id=app_id, meter=meter, day=day, above=after, most=most
    )


def inclusion(*, proof: Proof, identity: bytes) -> Inclusion:
    """Whether the identity is one of those that the proof counts, and the paths that show it.

    Raises Conflict `proof_does_not_hold` when the marks are not those that were signed.
    """
    told = proof.statement
    if not told.count:
        return Inclusion(counted=False, leaves=())
    block = block_of(proof.blocks, identity)
    leaves = _block(proof, block)
    if identity in leaves:
        return Inclusion(counted=True, leaves=[_leaf(proof, block, leaves, leaves.index(identity))])
    place = sum(each < identity for each in leaves)
    beside = []
    if place:
        beside.append(_leaf(proof, block, leaves, place - 1))
    if place < len(leaves):
        beside.append(_leaf(proof, block, leaves, place))
    elif block + 1 < len(proof.blocks):
        beside.append(_leaf(proof, block + 1, _block(proof, block + 1), 0))
    return Inclusion(counted=False, leaves=beside)


def _leaf(proof: Proof, block: int, leaves: Sequence[bytes], inside: int) -> ProvenLeaf:
    position = block * BLOCK + inside
    return ProvenLeaf(
        identity=leaves[inside],
        position=position,
        path=path_of(position, identities=leaves, blocks=proof.blocks),
    )


def _block(proof: Proof, block: int) -> list[bytes]:
    """The identities of one block, which are what was signed."""
    told = proof.statement
    first, below = b"", None
    signed = told.root
    if proof.blocks:
        first, signed = proof.blocks[block]
        below = proof.blocks[block + 1][0] if block + 1 < len(proof.blocks) else None
    leaves = _identities(
        tenant_id=told.tenant_id,
        app_id=told.app_id,
        meter=told.meter,
        day=told.day,
        first=first,
        below=below,
        most=BLOCK + 1,
    )
    if block_root(leaves) != signed:
        raise Conflict(
            "proof_does_not_hold",
            f"Who is stored as counted on {told.day} is not who was signed for; tell the operator.",
            params={"day": told.day},
        )
    return leaves


def _identities(
    *,
    tenant_id: UUID,
    app_id: UUID,
    meter: str,
    day: date,
    first: bytes = b"",
    above: bytes = b"",
    below: bytes | None = None,
    most: int,
) -> list[bytes]:
    table, column, is_meters = (
        ("metering_active_user", "user_hash", "%(meter)s IS NOT NULL")
        if meter == ACTIVE_USERS
        else ("metering_mark", "identity", "meter = %(meter)s")
    )
    with cursor() as execution:
        execution.execute(
            f"""
            SELECT {column} FROM {table}
             WHERE tenant_id = %(tenant)s::uuid AND app_id = %(app)s::uuid AND {is_meters}
               AND day = %(day)s AND {column} >= %(first)s AND {column} > %(above)s
               AND (%(below)s::bytea IS NULL OR {column} < %(below)s::bytea)
             ORDER BY {column} LIMIT %(most)s
            """,  # noqa: S608  # nothing from outside
            {
                "tenant": str(tenant_id),
                "app": str(app_id),
                "meter": meter,
                "day": day,
                "first": first,
                "above": above,
                "below": below,
                "most": most,
            },
        )
        return [bytes(identity) for (identity,) in execution.fetchall()]


def corrections_of(*, tenant_id: UUID, app_id: UUID, meter: str, day: date) -> int:
    """How many corrections the meter has on that day; they are never removed."""
    with cursor() as execution:
        execution.execute(
            "SELECT count(*) FROM metering_correction WHERE tenant_id = %s::uuid"
            " AND app_id = %s::uuid AND meter = %s AND day = %s",
            [str(tenant_id), str(app_id), meter, day],
        )
        (count,) = execution.fetchone()
    return int(count)


def tenant_user_key(*, tenant_id: UUID) -> bytes:
    """The key under which the tenant's end users are hashed today. It is the tenant's own secret: with
    it the tenant hashes its users' ids itself. Raises NotFound `unknown_tenant`."""
    facts = tenant_facts(tenant_ids=[tenant_id]).get(tenant_id)
    if facts is None:
        raise NotFound("unknown_tenant", "There is no such tenant.", field="tenant")
    return user_key(master_key=settings.SUMMIT_HASH_KEY.encode(), salt=facts.hash_salt)


def proof_document(*, proof: Proof, app: str, value: Decimal, key: bytes | None) -> dict[str, Any]:
    """A proof as programs and the verifier read it. `key`, the tenant's, is None for who may not see it; it is
    left out (null) too where the users of that day are hashed under another key."""
    told = proof.statement
    return {
        "app": app,
        "meter": told.meter,
        "day": told.day.isoformat(),
        "timezone": told.timezone,
        "state": "closed",
        "value": format(value, "f"),
        "count": str(told.count),
        "root": told.root.hex(),
        "version": told.version,
        "made_at": told.made_at.astimezone(ZoneInfo(told.timezone)).isoformat(),
        "statement": told.text(),
        "signature": proof.signature.hex(),
        "public_key": proof.public_key.hex(),
        "user_key": None if key is None or key_check(key) != told.key_check else key.hex(),
    }
