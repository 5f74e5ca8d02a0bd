"""The Merkle tree over the identities of an app and day, its paths, and what is signed. Pure.

The tree is that of RFC 9162, section 2.1, over the identities in ascending order of their bytes: a leaf
is ``SHA-256(0x00 || identity)``, a node ``SHA-256(0x01 || left || right)``, so that no node passes for a
leaf (second preimages). The root of nothing is ``SHA-256("")``. Because the leaves are sorted, two
neighbours in the tree prove that nobody stands between them.

Of a large tree each block of `BLOCK` leaves is kept with its first identity and root, so that the path
of one leaf is found from its block alone.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

BLOCK: Final = 1024
"""Leaves of a block; a power of two, so that each block is one node of the tree."""
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
_LEAF: Final = b"\x00"
_NODE: Final = b"\x01"
_ROOT_BYTES: Final = 32
_SEED_CONTEXT: Final = b"summit usage proof\x00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """The tree over some identities. `blocks` are the first identity and root of each block, empty
    where there is one block only."""

    count: int
    root: bytes
    blocks: tuple[tuple[bytes, bytes], ...]

    def packed_blocks(self) -> bytes:
        """The blocks as they are stored: first identity and root, one after another."""
        return b"".join(first + root for first, root in self.blocks)


class TreeBuilder:
    """Builds a tree from identities as they come; holds one block and the roots of those before."""

    def __init__(self) -> None:
        self._count = 0
        self._open: list[bytes] = []
        self._blocks: list[tuple[bytes, bytes]] = []
        self._last = b""

    def add(self, identities: Iterable[bytes]) -> None:
        """Take the next identities. Raises ValueError unless they ascend, each once."""
        for identity in identities:
            if identity <= self._last:
                raise ValueError("identities come in ascending order, each once")
            self._last = identity
            self._open.append(identity)
            if len(self._open) == BLOCK:
                self._close()

    def tree(self) -> Tree:
        """The tree over all that came."""
        if self._open:
            self._close()
        many = len(self._blocks) > 1
        return Tree(
            count=self._count,
            root=_root([root for _, root in self._blocks]) if self._blocks else EMPTY_ROOT,
            blocks=tuple(self._blocks) if many else (),
        )

    def _close(self) -> None:
        self._count += len(self._open)
        self._blocks.append((self._open[0], block_root(self._open)))
        self._open = []


def unpacked_blocks(packed: bytes, *, count: int) -> list[tuple[bytes, bytes]]:
    """The blocks that `Tree.packed_blocks` packed, of a tree with `count` leaves."""
    if not packed:
        return []
    blocks = -(-count // BLOCK)
    size, rest = divmod(len(packed), blocks)
    if rest or size <= _ROOT_BYTES:
        raise ValueError("the blocks are not whole")
    length = size - _ROOT_BYTES
    return [
        (packed[start : start + length], packed[start + length : start + size])
        for start in range(0, len(packed), size)
    ]


def block_root(identities: Sequence[bytes]) -> bytes:
    """The root over the identities of one block (or of a whole small tree)."""
    sha256 = hashlib.sha256
    return _root([sha256(_LEAF + identity).digest() for identity in identities])


def block_of(blocks: Sequence[tuple[bytes, bytes]], identity: bytes) -> int:
    """In which block the identity stands, or would stand."""
    return max(0, bisect_right(blocks, identity, key=lambda block: block[0]) - 1)


def path_of(
    position: int, *, identities: Sequence[bytes], blocks: Sequence[tuple[bytes, bytes]]
) -> list[bytes]:
    """The path (RFC 9162, 2.1.3) of the leaf at `position`, from the leaf up.

    `identities` are those of its block; `blocks` all blocks, empty where there is one only.
    """
    block, inside = divmod(position, BLOCK)
    sha256 = hashlib.sha256
    path = _path([sha256(_LEAF + identity).digest() for identity in identities], inside)
    return path + _path([root for _, root in blocks], block)


def _root(level: list[bytes]) -> bytes:
    if not level:
        return EMPTY_ROOT
    while len(level) > 1:
        level = _above(level)
    return level[0]


def _path(level: list[bytes], position: int) -> list[bytes]:
    path = []
    while len(level) > 1:
        beside = position ^ 1
        # The last of an odd number goes up alone.
        if beside < len(level):
            path.append(level[beside])
        level = _above(level)
        position //= 2
    return path


def _above(level: list[bytes]) -> list[bytes]:
    sha256 = hashlib.sha256
    pairs = iter(level)
    above = [
        sha256(_NODE + left + right).digest() for left, right in zip(pairs, pairs, strict=False)
    ]
    if len(level) % 2:
        above.append(level[-1])
    return above


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What is signed of one app, meter and closed local day."""

    tenant_id: UUID
    app_id: UUID
    meter: str
    day: date
    timezone: str
    version: int
    count: int
    root: bytes
    key_check: bytes
    made_at: datetime

    def text(self) -> str:
        """The signed text: a name and a value in each line, in this order."""
        return (
            "summit usage proof 1\n"
            f"tenant {self.tenant_id}\n"
            f"app {self.app_id}\n"
            f"meter {self.meter}\n"
            f"day {self.day.isoformat()}\n"
            f"timezone {self.timezone}\n"
            f"version {self.version}\n"
            f"count {self.count}\n"
            f"root {self.root.hex()}\n"
            f"user-key {self.key_check.hex()}\n"
            f"made-at {self.made_at.astimezone(UTC).isoformat()}\n"
        )


def key_check(user_key: bytes) -> bytes:
    """8 bytes by which a tenant's key is known again, and from which it can't be told."""
    return hashlib.sha256(b"summit user key check\x00" + user_key).digest()[:8]


class Signer:
    """The deployment's signing key (Ed25519), derived from its master key."""

    def __init__(self, *, master_key: bytes) -> None:
        seed = hashlib.blake2b(_SEED_CONTEXT, key=hashlib.sha512(master_key).digest()).digest()
        self._key = Ed25519PrivateKey.from_private_bytes(seed[:32])
        self.public_key = self._key.public_key().public_bytes_raw()

    def sign(self, statement: Statement) -> bytes:
        """The signature of the statement's text: 64 bytes."""
        return self.sign_text(statement.text())

    def sign_text(self, text: str) -> bytes:
        """The signature of any text of the deployment's whose first line says what it is: 64 bytes."""
        return self._key.sign(text.encode())
