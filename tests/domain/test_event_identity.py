"""Digests tell other content, and nothing else; hashes tell users, and nobody who they are."""

import hashlib
import hmac
from typing import Any
from uuid import UUID

import pytest

from kernel.array_literals import plain_array, text_array
from metering.ingest.domain.events import UsageEvent, read_event
from metering.ingest.domain.identity import (
    content_digest,
    content_of,
    digest_key,
    event_identities,
    event_identity,
    former_digest,
    user_hash,
    user_key,
)
from metering.ingest.domain.quarantine import kept_content
from tests.domain.test_event_fields import an_event

TENANT = UUID(int=7)
KEY = digest_key(master_key=b"master", tenant_id=TENANT)


def digest(**changes: Any) -> str:
    event = read_event(an_event(**changes))
    assert isinstance(event, UsageEvent)
    return content_digest(key=KEY, event=event)


@pytest.mark.parametrize(
    "changes",
    [
        {"time": "2026-11-24T12:00:00Z"},
        {"time": "2026-11-24T12:00:00.000Z"},
        {"data": {"count": "2", "kind": "group", "user": "u1"}},
        {"datacontenttype": "application/json"},
    ],
)
def test_the_same_content_written_otherwise_is_the_same(changes: dict[str, Any]) -> None:
    assert digest(**changes) == digest()


def test_defaults_are_content() -> None:
    assert digest(data={"user": "u"}) == digest(data={"user": "u", "count": 1, "kind": ""})


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "user.active"},
        {"subject": "chat2"},
        {"time": "2026-11-24T12:00:00.000001Z"},
        {"data": {"user": "u2", "kind": "group", "count": 2}},
        {"data": {"user": "u1", "kind": "single", "count": 2}},
        {"data": {"user": "u1", "kind": "group", "count": 3}},
        {"data": {"user": "u1", "kind": "group", "count": 2, "region": "cn"}},
    ],
)
def test_other_content_is_other(changes: dict[str, Any]) -> None:
    assert digest(**changes) != digest()


def test_further_data_counts_whatever_its_order() -> None:
    first = digest(data={"user": "u", "a": 1, "b": {"y": 1, "x": [2]}})
    assert digest(data={"b": {"x": [2], "y": 1}, "a": 1, "user": "u"}) == first
    assert digest(data={"user": "u", "a": 1, "b": {"y": 1, "x": [3]}}) != first


def test_digest_and_hash_are_of_their_tenant_and_apart() -> None:
    event = read_event(an_event())
    assert isinstance(event, UsageEvent)
    other = digest_key(master_key=b"master", tenant_id=UUID(int=8))
    assert content_digest(key=other, event=event) != digest()
    ours = user_key(master_key=b"master", salt=b"ours")
    theirs = user_key(master_key=b"master", salt=b"theirs")
    assert user_hash(key=ours, user="u1") != user_hash(key=theirs, user="u1")
    assert user_hash(key=ours, user="u1") == user_hash(key=ours, user="u1")
    assert len(user_hash(key=ours, user="u1")) == len(bytes.fromhex(digest())) == 16


def test_hashes_and_digests_stay_what_they_are() -> None:
    # Stored ones are compared with new ones for 400 days: neither a library nor we may change them.
    assert (
        user_hash(key=b"k" * 32, user="消息 u1")
        == hmac.digest(b"k" * 32, "消息 u1".encode(), "sha256")[:16]
    )
    event = read_event(an_event())
    assert isinstance(event, UsageEvent)
    assert digest() == "2a7637a63be3ed1aa9994499b3e77669"
    assert former_digest(KEY, *content_of(event)) == "a0bbae8cf12c01571c2279eb922bfd2c"
    assert (
        event_identity(source="sdk", event_id="1") == (hashlib.sha256(b"sdk\x001").hexdigest()[:32])
    )
    assert event_identities(source="sdk", event_ids=["1", "2"]) == [
        event_identity(source="sdk", event_id="1"),
        event_identity(source="sdk", event_id="2"),
    ]


@pytest.mark.parametrize(
    "content",
    [
        an_event(data={"user": "planted"}),
        an_event(data="planted"),
        an_event(data={"user": ["planted"]}),
        an_event(data={"user": "u", "kind": ["planted"], "note": "planted"}),
        an_event(user="planted", note={"a": "planted"}),
    ],
)
def test_what_is_kept_of_a_refused_event_names_nobody(content: dict[str, Any]) -> None:
    kept = kept_content(content, hash_of=lambda user: user_hash(key=b"k", user=user))
    assert "planted" not in str(kept)
    assert kept is not None
    assert kept["id"] == "1"


def test_what_no_column_takes_is_replaced() -> None:
    kept = kept_content(an_event(id="a\x00\ud800b", subject=10**400), hash_of=lambda _: b"")
    assert kept is not None
    assert kept["id"] == "a\ufffd\ufffdb"
    assert kept["subject"] == {"type": "int"}


def test_array_literals() -> None:
    assert plain_array([1, TENANT, None]) == "{1,00000000-0000-0000-0000-000000000007,NULL}"
    assert text_array([]) == "{}"
    assert text_array([""]) == '{""}'
    assert text_array(['a"b', "c\\d", "NULL", "{,}"]) == '{"a\\"b","c\\\\d","NULL","{,}"}'
