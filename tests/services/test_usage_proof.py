"""Proof: made once for each closed day, renewed by corrections, and held against the tenant's own log."""

import gzip
import json
import secrets
import subprocess
import sys
from datetime import date, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, ProgrammingError, connections, transaction

from kernel.errors import Conflict, Invalid
from metering.models import UsageProof
from metering.proof import verify_usage
from metering.proof.queries import (
    Proof,
    counted_hashes,
    inclusion,
    proof_document,
    proof_versions,
    provable_meter,
    tenant_user_key,
)
from metering.proof.services import prove_days
from metering.proof.services.prove_days import prove_closed_days, prove_day
from metering.services import close_days, rebuild_usage, roll_up_pending
from tenants.models import Tenant
from tenants.scope import system_scope, tenant_scope
from tenants.services.create_tenant import CreatedTenant
from tests.factories import a_tenant, some_usage
from tests.services.metering_world import at, message, send
from work.commands import WrongUse
from work.connections import JOBS, OWNER

pytestmark = pytest.mark.usefixtures("db")

EVENING = at("2026-03-31T23:30:00+08:00")
MIDNIGHT = at("2026-04-01T00:00:00+08:00")
LAST = date(2026, 3, 31)


def close(now: datetime = MIDNIGHT) -> None:
    with system_scope(purpose="test"):
        close_days(now=now)


def proof_of(tenant: CreatedTenant, *, app: int = 0, day: date = LAST) -> Proof:
    """As the tenant itself asks for it."""
    with tenant_scope(tenant.id):
        return prove_day(
            tenant_id=tenant.id, app_id=tenant.apps[app].id, meter="dau", day=day, now=MIDNIGHT
        )


def document_of(tenant: CreatedTenant, proof: Proof) -> dict[str, Any]:
    with tenant_scope(tenant.id):
        return proof_document(
            proof=proof,
            app=tenant.apps[0].key,
            value=proof.statement.count,  # type: ignore[arg-type]  # a number
            key=tenant_user_key(tenant_id=tenant.id),
        )


def hashes_of(tenant: CreatedTenant, *, day: date = LAST) -> list[bytes]:
    with tenant_scope(tenant.id):
        return counted_hashes(
            tenant_id=tenant.id, app_id=tenant.apps[0].id, meter="dau", day=day, most=100_000
        )


def a_closed_day(users: int = 3) -> CreatedTenant:
    tenant = a_tenant()
    send(tenant.id, [message(f"{n}", f"u{n}", EVENING) for n in range(users)], now=EVENING)
    close()
    return tenant


def test_all_closed_days_are_proven_once() -> None:
    tenant = a_tenant(apps=("chat", "push"))
    other = a_tenant("other", apps=("other",))
    send(
        tenant.id,
        [
            message("1", "a", EVENING),
            message("2", "b", EVENING),
            message("3", "a", EVENING, app="push"),
            message("4", "a", EVENING - timedelta(days=1)),
            message("5", "a", MIDNIGHT),  # of a day that is still open
        ],
        now=MIDNIGHT,
    )
    send(other.id, [message("1", "a", EVENING, app="other")], now=EVENING)
    close()
    made = prove_closed_days(now=MIDNIGHT)
    assert (made.proofs, made.marks) == (4, 5)
    assert prove_closed_days(now=MIDNIGHT).proofs == 0
    close(MIDNIGHT + timedelta(days=1))
    assert prove_closed_days(now=MIDNIGHT + timedelta(days=1)).proofs == 1

    proof, others = proof_of(tenant), proof_of(other)
    assert (proof.statement.count, proof.statement.version) == (2, 1)
    assert proof.statement.root == verify_usage.merkle_root(hashes_of(tenant))
    # The same user under the keys of two tenants is not the same hash.
    assert set(hashes_of(other)).isdisjoint(hashes_of(tenant))
    assert others.public_key == proof.public_key


def test_the_verifier_agrees_with_the_own_log_and_finds_what_differs(tmp_path: Path) -> None:
    tenant = a_closed_day()
    document = document_of(tenant, proof_of(tenant))
    (tmp_path / "proof.json").write_text(json.dumps(document))
    rows = [f"chat,{n},2026-03-31T{n:02}:00:00+08:00,u{n % 3}" for n in range(20)]
    noise = ["chat,x,2026-04-01T00:00:00+08:00,late", "push,y,2026-03-31T10:00:00+08:00,other"]
    with gzip.open(tmp_path / "log.csv.gz", "wt") as log:
        log.write("\n".join(["app,id,time,user", *rows, *noise]))

    def run(*arguments: str) -> tuple[int, Any]:
        # Isolated: the file must need nothing of ours.
        ran = subprocess.run(  # our own file
            [sys.executable, "-I", verify_usage.__file__, "proof.json", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        return ran.returncode, json.loads(ran.stdout) if ran.stdout else ran.stderr

    status, found = run("log.csv.gz", "--user", "u1", "--public-key", document["public_key"])
    assert (status, found["faults"], found["log"]["count"]) == (0, [], 3)
    assert found["user"]["counted"] is True

    (tmp_path / "sent.ndjson").write_text(
        "\n".join(json.dumps(message(f"{n}", f"u{n}", EVENING)) for n in range(4))
    )
    (tmp_path / "hashes").write_text("\n".join(each.hex() for each in hashes_of(tenant)))
    status, found = run("sent.ndjson", "--hashes", "hashes")
    assert (status, found["faults"]) == (1, ["log"])
    assert (found["only_in_log"]["count"], found["only_in_list"]["count"]) == (1, 0)
    assert found["list"]["agrees"] is True

    changed = {**document, "statement": document["statement"].replace("count 3", "count 4")}
    (tmp_path / "proof.json").write_text(json.dumps(changed))
    status, found = run("log.csv.gz")
    assert status == 1
    assert "signature" in found["faults"]
    (tmp_path / "proof.json").write_text("not JSON")
    assert run("log.csv.gz")[0] == 2


GOOD_ROWS = "\n".join(f"chat,{n},2026-03-31T12:00:00+08:00,u{n}" for n in range(3)).encode()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("torn.csv.gz", gzip.compress(GOOD_ROWS * 99, mtime=0)[:-20]),
        ("none.csv.gz", GOOD_ROWS),
        ("long.csv", GOOD_ROWS + b"\nchat,x,2026-03-31T12:00:00+08:00," + b"u" * 200_000),
        ("other.csv", GOOD_ROWS + b"\nchat,x,yesterday,u1"),
        # An instant only together with the zone of whoever runs the verifier.
        ("naive.csv", GOOD_ROWS + b"\nchat,x,2026-03-31T12:00:00,u1"),
        ("latin.csv", GOOD_ROWS + b"\nchat,x,2026-03-31T12:00:00Z,\xff"),
        ("five.ndjson", b"5"),
        ("list.ndjson", b'{"specversion": "1.0", "type": "message.sent", "data": [1]}'),
        ("deep.ndjson", b"[" * 100_000),
    ],
)
def test_a_log_that_can_not_be_read_says_nothing_about_the_proof(
    name: str, content: bytes, tmp_path: Path
) -> None:
    tenant = a_closed_day()
    (tmp_path / name).write_bytes(content)
    with pytest.raises(verify_usage.CannotVerify):
        verify_usage.check(proof=document_of(tenant, proof_of(tenant)), log=tmp_path / name)
    asked = ("--app", "chat", "--day", "2026-03-31")
    with pytest.raises(WrongUse):  # exit status 2
        call_command("verify_usage", str(tmp_path / name), *asked)


def test_the_row_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    tenant = a_closed_day()
    proof = document_of(tenant, proof_of(tenant))
    for name, content, told in (
        ("log.csv", GOOD_ROWS + b"\nchat,x,yesterday,u1", "'yesterday'"),
        ("log.ndjson", b"\n\n{torn", "line 3"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(verify_usage.CannotVerify, match=told):
            verify_usage.check(proof=proof, log=tmp_path / name)


@pytest.mark.parametrize("proof", ["[]", "5", "{}", "[" * 100_000])
def test_a_proof_that_can_not_be_read_is_told(proof: str, tmp_path: Path) -> None:
    (tmp_path / "proof.json").write_text(proof)
    (tmp_path / "log.csv").write_bytes(GOOD_ROWS)
    assert verify_usage.main([str(tmp_path / "proof.json"), str(tmp_path / "log.csv")]) == 2
    with pytest.raises(WrongUse):
        call_command(
            "verify_usage", str(tmp_path / "log.csv"), "--proof", str(tmp_path / "proof.json")
        )


@pytest.mark.parametrize(
    "changes",
    [{"count": "2"}, {"root": "00"}, {"timezone": "UTC"}, {"day": "2026-04-01"}, {"meter": "x"}],
)
def test_what_stands_beside_the_statement_is_what_it_says(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    tenant = a_closed_day()
    (tmp_path / "log.csv").write_bytes(GOOD_ROWS)
    document = {**document_of(tenant, proof_of(tenant)), **changes}
    found = verify_usage.check(proof=document, log=tmp_path / "log.csv")
    assert found["faults"] == ["statement"]


def test_the_command_does_the_same(tmp_path: Path) -> None:
    tenant = a_closed_day()
    log = tmp_path / "log.csv"
    log.write_text("\n".join(f"chat,{n},2026-03-31T12:00:00+08:00,u{n}" for n in range(3)))
    out = StringIO()
    call_command(
        "verify_usage", str(log), "--app", "chat", "--day", "2026-03-31", "--json", stdout=out
    )
    found = json.loads(out.getvalue())
    assert (found["count"], found["log"]["agrees"], found["faults"]) == (3, True, [])
    log.write_text("chat,1,2026-03-31T12:00:00+08:00,u1")
    with pytest.raises(SystemExit):
        call_command("verify_usage", str(log), "--app", "chat", "--day", "2026-03-31", stdout=out)
    assert tenant.key == "acme"


def test_a_late_user_gives_a_further_version() -> None:
    tenant = a_closed_day()
    prove_closed_days(now=MIDNIGHT)
    first = proof_of(tenant)
    later = MIDNIGHT + timedelta(hours=3)
    send(tenant.id, [message("late", "late", EVENING)], now=later)
    roll_up_pending(now=later)

    second = proof_of(tenant)
    assert (second.statement.version, second.statement.count) == (2, 4)
    assert second.statement.root == verify_usage.merkle_root(hashes_of(tenant))
    assert proof_of(tenant) == second
    with tenant_scope(tenant.id):
        versions = proof_versions(
            tenant_id=tenant.id, app_id=tenant.apps[0].id, meter="dau", day=LAST
        )
    assert [(each.version, each.root) for each in versions] == [
        (2, second.statement.root),
        (1, first.statement.root),
    ]


def test_the_schedule_renews_what_was_corrected() -> None:
    tenant = a_closed_day()
    prove_closed_days(now=MIDNIGHT)
    later = MIDNIGHT + timedelta(hours=3)
    send(tenant.id, [message("late", "late", EVENING)], now=later)
    roll_up_pending(now=later)
    close(MIDNIGHT + timedelta(days=1))
    assert prove_closed_days(now=MIDNIGHT + timedelta(days=1)).proofs == 1
    assert proof_of(tenant).statement.version == 2


@pytest.mark.parametrize("large", [1, 10**9])
def test_large_apps_are_read_in_a_stream(large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prove_days, "_LARGE", large)
    tenant = a_closed_day(2500)
    assert prove_closed_days(now=MIDNIGHT).marks == 2500
    proof = proof_of(tenant)
    hashes = hashes_of(tenant)
    assert proof.statement.root == verify_usage.merkle_root(hashes)
    assert len(proof.blocks) == 3
    for place in (0, 1023, 1024, 2047, 2048, 2499):
        with tenant_scope(tenant.id):
            found = inclusion(proof=proof, identity=hashes[place])
        assert found.counted
        (leaf,) = found.leaves
        assert leaf.position == place
        assert verify_usage.is_included(
            entry=hashes[place],
            position=place,
            count=2500,
            path=leaf.path,
            root=proof.statement.root,
        )


def test_who_was_not_counted_would_stand_between_two_neighbours() -> None:
    tenant = a_closed_day(1025)
    proof = proof_of(tenant)
    hashes = hashes_of(tenant)

    def beside(identity: bytes) -> list[int]:
        with tenant_scope(tenant.id):
            found = inclusion(proof=proof, identity=identity)
        assert not found.counted
        for leaf in found.leaves:
            assert verify_usage.is_included(
                entry=leaf.identity,
                position=leaf.position,
                count=1025,
                path=leaf.path,
                root=proof.statement.root,
            )
        return [leaf.position for leaf in found.leaves]

    def before(identity: bytes) -> bytes:
        return (int.from_bytes(identity, "big") - 1).to_bytes(16, "big")

    assert beside(b"\x00" * 16) == [0]
    assert beside(before(hashes[1])) == [0, 1]
    # From one block into the next one.
    assert beside(before(hashes[1024])) == [1023, 1024]
    assert beside(b"\xff" * 16) == [1024]


def test_a_day_that_is_open_is_not_proven() -> None:
    tenant = a_closed_day()
    with pytest.raises(Conflict) as refused:
        proof_of(tenant, day=date(2026, 4, 1))
    assert refused.value.code == "day_open"
    empty = proof_of(tenant, day=date(2026, 3, 1))
    assert (empty.statement.count, empty.statement.root) == (0, verify_usage.merkle_root([]))


def test_usage_that_was_set_by_hand_proves_nobody() -> None:
    tenant = a_tenant()
    some_usage(tenant, {LAST: 35})
    close()
    assert prove_closed_days(now=MIDNIGHT).proofs == 0
    assert proof_of(tenant).statement.count == 0


def test_only_meters_of_different_users_are_proven() -> None:
    with system_scope(purpose="test"):
        assert provable_meter("mau").marks == "dau"
        with pytest.raises(Invalid) as refused:
            provable_meter("messages")
    assert refused.value.code == "meter_without_proof"


def test_a_proof_outlives_the_tenants_key() -> None:
    tenant = a_closed_day()
    proof = proof_of(tenant)
    kept = document_of(tenant, proof)
    assert kept["user_key"] is not None
    with system_scope(purpose="test"):
        Tenant.objects.filter(id=tenant.id).update(hash_salt=secrets.token_bytes(32))

    again = document_of(tenant, proof_of(tenant))
    assert again["user_key"] is None
    assert {**again, "user_key": kept["user_key"]} == kept
    own = [verify_usage.user_hash(bytes.fromhex(kept["user_key"]), f"u{n}") for n in range(3)]
    assert verify_usage.verdict(again, own=own)["faults"] == []


@pytest.mark.one_node
def test_the_database_refuses_to_change_a_proof() -> None:
    tenant = a_closed_day()
    prove_closed_days(now=MIDNIGHT)
    for statement in (
        "UPDATE metering_usage_proof SET count = count + 1",
        "DELETE FROM metering_usage_proof",
    ):
        with pytest.raises(IntegrityError), transaction.atomic(using=OWNER):
            connections[OWNER].cursor().execute(statement)
        with pytest.raises(ProgrammingError), transaction.atomic(using=JOBS):
            connections[JOBS].cursor().execute(statement)
    with tenant_scope(tenant.id):
        assert UsageProof.objects.count() == 1


def test_marks_that_were_changed_behind_its_back_are_noticed() -> None:
    tenant = a_closed_day()
    proof = proof_of(tenant)
    stolen = hashes_of(tenant)[0]
    with connections[OWNER].cursor() as cursor:
        cursor.execute("DELETE FROM metering_active_user WHERE user_hash = %s", [stolen])
    with tenant_scope(tenant.id), pytest.raises(Conflict) as refused:
        inclusion(proof=proof, identity=stolen)
    assert refused.value.code == "proof_does_not_hold"
    # The events still say who was there.
    with system_scope(purpose="test"):
        rebuild_usage(tenant_id=tenant.id, from_day=LAST, to_day=date(2026, 4, 1), now=MIDNIGHT)
    with tenant_scope(tenant.id):
        assert inclusion(proof=proof, identity=stolen).counted
