"""The heads of the audit trail's chains, exported to files outside the database.

A hash chain shows every change but one: rows cut off its end. So each day the heads that moved are
written to a file below ``SUMMIT_HOME/audit-heads``, signed, and tied to the file before it. The
folder is to be copied to another system (docs/how-to); who cuts a chain would then have to reach
that one too.

A file has one JSON object a line: what it is, the heads, the signature of all lines before it.
"""

import hashlib
import hmac
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from django.conf import settings

from tenants.audit import BrokenLink
from work.connections import cursor

_FORMAT: Final = 1
_BATCH: Final = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where a chain ended at `at`; `tenant_id` None is the deployment's own."""

    tenant_id: UUID | None
    sequence: int
    row_hash: bytes
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenFile:
    """A file of heads that can't be trusted."""

    name: str
    fault: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadCheck:
    """What came of holding the exported heads against the trail."""

    files: int
    heads: int
    broken_files: Sequence[BrokenFile]
    broken_links: Sequence[BrokenLink]


def heads_folder() -> Path:
    """Where the files are."""
    return Path(settings.SUMMIT_HOME) / "audit-heads"


def export_audit_heads(*, folder: Path, now: datetime) -> int:
    """Write the heads that moved since the last file, in a cross-tenant scope; gives how many.

    Raises RuntimeError when a file that is there can't be trusted: nothing is added to it then.
    """
    known: dict[UUID | None, tuple[int, bytes]] = {}
    previous = ""
    for path in _files(folder):
        content = path.read_bytes()
        heads = _read(content, previous=previous)
        if isinstance(heads, str):
            raise RuntimeError(f"the audit heads in {path.name} can't be trusted: {heads}")
        known.update((head.tenant_id, (head.sequence, head.row_hash)) for head in heads)
        previous = hashlib.sha256(content).hexdigest()
    moved = [
        head
        for head in _present_heads(now)
        if known.get(head.tenant_id) != (head.sequence, head.row_hash)
    ]
    if moved:
        _write(folder, heads=moved, previous=previous, now=now)
    return len(moved)


def check_audit_heads(*, folder: Path) -> HeadCheck:
    """Hold every exported head against the trail, in a cross-tenant scope.

    A head whose record is gone or has another hash is a broken link of its chain.
    """
    files = heads = 0
    previous = ""
    broken_files: list[BrokenFile] = []
    broken: dict[UUID | None, BrokenLink] = {}
    for path in _files(folder):
        content = path.read_bytes()
        found = _read(content, previous=previous)
        previous = hashlib.sha256(content).hexdigest()
        files += 1
        if isinstance(found, str):
            broken_files.append(BrokenFile(name=path.name, fault=found))
            continue
        heads += len(found)
        for link in _broken_links(found):
            broken.setdefault(link.tenant_id, link)
    return HeadCheck(
        files=files,
        heads=heads,
        broken_files=broken_files,
        broken_links=list(broken.values()),
    )


def _present_heads(now: datetime) -> Iterator[Head]:
    with cursor() as db:
        db.execute(
            "SELECT DISTINCT ON (tenant_id) tenant_id, sequence, row_hash"
            "  FROM tenants_auditrecord ORDER BY tenant_id, sequence DESC"
        )
        for tenant_id, sequence, row_hash in db.fetchall():
            yield Head(tenant_id=tenant_id, sequence=sequence, row_hash=bytes(row_hash), at=now)


def _broken_links(heads: Sequence[Head]) -> Iterator[BrokenLink]:
    for start in range(0, len(heads), _BATCH):
        batch = heads[start : start + _BATCH]
        with cursor() as db:
            db.execute(
                """
                SELECT h.position, a.row_hash,
                       (SELECT max(l.sequence) FROM tenants_auditrecord l
                         WHERE l.tenant_id IS NOT DISTINCT FROM h.tenant_id)
                  FROM unnest(%s::uuid[], %s::bigint[]) WITH ORDINALITY
                       AS h(tenant_id, sequence, position)
                  LEFT JOIN tenants_auditrecord a ON a.sequence = h.sequence
                       AND a.tenant_id IS NOT DISTINCT FROM h.tenant_id
                 ORDER BY h.position
                """,
                [
                    [str(head.tenant_id) if head.tenant_id else None for head in batch],
                    [head.sequence for head in batch],
                ],
            )
            found = db.fetchall()
        for head, (_, row_hash, last) in zip(batch, found, strict=True):
            exported = f"the head exported at {head.at.isoformat()} is record {head.sequence}"
            if row_hash is None:
                yield BrokenLink(
                    tenant_id=head.tenant_id,
                    sequence=min(head.sequence, (last or 0) + 1),
                    fault=f"it was removed: {exported}",
                )
            elif bytes(row_hash) != head.row_hash:
                yield BrokenLink(
                    tenant_id=head.tenant_id,
                    sequence=head.sequence,
                    fault=f"it was rewritten: {exported} with another hash",
                )


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.ndjson"))


def _write(folder: Path, *, heads: Sequence[Head], previous: str, now: datetime) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lines: list[dict[str, Any]] = [
        {"format": _FORMAT, "at": now.astimezone(UTC).isoformat(), "previous": previous},
        *(
            {
                "tenant_id": str(head.tenant_id) if head.tenant_id else None,
                "sequence": head.sequence,
                "row_hash": head.row_hash.hex(),
            }
            for head in heads
        ),
    ]
    signed = _text(lines)
    content = signed + _text([{"signature": _signature(signed)}])
    name = now.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%fZ.ndjson")
    draft = folder / f".{name}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o440)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(folder / name)


def _read(content: bytes, *, previous: str) -> list[Head] | str:
    """The heads of a file, or what is wrong with it."""
    signed, _, last = content.rstrip(b"\n").rpartition(b"\n")
    try:
        signature = json.loads(last)["signature"]
        first, *rest = [json.loads(line) for line in signed.splitlines()]
    except (ValueError, KeyError, TypeError):
        return "it is not whole"
    if not hmac.compare_digest(str(signature), _signature(signed + b"\n")):
        return "its signature does not match"
    if first["previous"] != previous:
        return "the file before it is missing or another one"
    at = datetime.fromisoformat(first["at"])
    return [
        Head(
            tenant_id=UUID(line["tenant_id"]) if line["tenant_id"] else None,
            sequence=line["sequence"],
            row_hash=bytes.fromhex(line["row_hash"]),
            at=at,
        )
        for line in rest
    ]


def _text(lines: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)


def _signature(content: bytes) -> str:
    # The key that stands for end users' ids is never changed, unlike SECRET_KEY.
    key = hmac.new(settings.SUMMIT_HASH_KEY.encode(), b"audit heads", hashlib.sha256).digest()
    return hmac.new(key, content, hashlib.sha256).hexdigest()
