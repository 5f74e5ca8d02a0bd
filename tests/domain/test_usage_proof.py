"""The tree of a proof and the verifier, which were written apart, hold against each other and RFC 9162."""

import hashlib
import random
from datetime import UTC, date, datetime
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from metering.proof.domain import (
    BLOCK,
    EMPTY_ROOT,
    Signer,
    Statement,
    Tree,
    TreeBuilder,
    block_of,
    path_of,
    unpacked_blocks,
)
from metering.proof.verify_usage import (
    is_included,
    is_signed,
    merkle_root,
    signed_facts,
    user_hash,
)

KNOWN_LEAVES = [
    bytes.fromhex(each)
    for each in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
"""Of the test vectors of Certificate Transparency, whose trees RFC 9162 describes."""


def identities(count: int, *, length: int = 16, seed: int = 1) -> list[bytes]:
    source = random.Random(seed)  # not a secret
    return sorted({source.randbytes(length) for _ in range(count)})


def tree_of(leaves: list[bytes]) -> Tree:
    builder = TreeBuilder()
    builder.add(leaves)
    return builder.tree()


@pytest.mark.parametrize(
    ("count", "root"),
    [
        (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        (2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
        (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
        (7, "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"),
        (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
    ],
)
def test_published_trees(count: int, root: str) -> None:
    assert merkle_root(KNOWN_LEAVES[:count]).hex() == root


@pytest.mark.parametrize(
    "count", [0, 1, 2, 3, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 3 * BLOCK + 5, 5 * BLOCK + 1023]
)
def test_the_tree_in_blocks_is_the_tree_of_the_definition(count: int) -> None:
    leaves = identities(count)
    tree = tree_of(leaves)
    assert (tree.count, tree.root) == (count, merkle_root(leaves))
    assert bool(tree.blocks) == (count > BLOCK)
    assert unpacked_blocks(tree.packed_blocks(), count=count) == list(tree.blocks)


@given(count=st.integers(1, 4 * BLOCK), data=st.data())
@settings(deadline=None, max_examples=40)
def test_each_leaf_has_a_path_and_no_other_entry_has_it(count: int, data: st.DataObject) -> None:
    leaves = identities(count, seed=count)
    tree = tree_of(leaves)
    position = data.draw(st.integers(0, count - 1))
    block = block_of(tree.blocks, leaves[position])
    assert block == position // BLOCK
    path = path_of(
        position,
        identities=leaves[block * BLOCK : (block + 1) * BLOCK],
        blocks=tree.blocks,
    )
    proven = {"position": position, "count": count, "path": path, "root": tree.root}
    assert is_included(entry=leaves[position], **proven)  # type: ignore[arg-type]  # see above
    assert not is_included(entry=b"x" * 16, **proven)  # type: ignore[arg-type]  # the same
    if count > 1:
        other = (position + 1) % count
        assert not is_included(entry=leaves[position], **{**proven, "position": other})  # type: ignore[arg-type]  # the same


def test_a_node_does_not_pass_for_a_leaf() -> None:
    """The second preimage of a tree whose leaves and nodes are hashed alike."""
    left, right = identities(2)
    node = hashlib.sha256(b"\x00" + left).digest() + hashlib.sha256(b"\x00" + right).digest()
    assert merkle_root([node]) != merkle_root([left, right])


def test_nobody_is_the_root_of_nothing() -> None:
    assert tree_of([]).root == EMPTY_ROOT == merkle_root([])


@pytest.mark.parametrize("wrong", [[b"b", b"a"], [b"a", b"a"]])
def test_leaves_ascend_each_once(wrong: list[bytes]) -> None:
    with pytest.raises(ValueError, match="ascending"):
        TreeBuilder().add(wrong)


@pytest.mark.parametrize("length", [0, 1, 200])
def test_the_verifiers_signatures_are_those_of_the_library(length: int) -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    public = key.public_key().public_bytes_raw()
    message = b"m" * length
    signature = key.sign(message)
    assert is_signed(message=message, signature=signature, public_key=public)
    assert not is_signed(message=message + b"x", signature=signature, public_key=public)
    for place in (0, 31, 32, 63):
        changed = bytearray(signature)
        changed[place] ^= 1
        assert not is_signed(message=message, signature=bytes(changed), public_key=public)
    assert not is_signed(message=message, signature=signature[:-1], public_key=public)
    assert not is_signed(message=message, signature=signature, public_key=b"\xff" * 32)


def test_a_signature_of_rfc_8032() -> None:
    """Section 7.1, test 2."""
    assert is_signed(
        message=b"\x72",
        public_key=bytes.fromhex(
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
        ),
        signature=bytes.fromhex(
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    )


def test_a_statement_says_what_it_is_about() -> None:
    statement = Statement(
        tenant_id=UUID(int=1),
        app_id=UUID(int=2),
        meter="dau",
        day=date(2026, 3, 5),
        timezone="Asia/Shanghai",
        version=1,
        count=2,
        root=EMPTY_ROOT,
        key_check=b"12345678",
        made_at=datetime(2026, 3, 6, tzinfo=UTC),
    )
    told = signed_facts(statement.text())
    assert (told["day"], told["count"], told["root"]) == ("2026-03-05", "2", EMPTY_ROOT.hex())
    signer = Signer(master_key=b"k" * 32)
    assert is_signed(
        message=statement.text().encode(),
        signature=signer.sign(statement),
        public_key=signer.public_key,
    )
    assert Signer(master_key=b"l" * 32).public_key != signer.public_key


def test_the_same_user_has_another_hash_at_another_tenant() -> None:
    assert user_hash(b"a" * 32, "u1") != user_hash(b"b" * 32, "u1")
    assert len(user_hash(b"a" * 32, "u1")) == 16
