"""The proof over HTTP and in the portal: what the tenant gets is enough to check it without us."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from kernel import clock
from metering.proof import verify_usage
from metering.services import close_days
from tenants.domain import KeyScope, Role
from tenants.scope import system_scope
from tests.api.world import World, call

DAY = "2026-03-05"


@pytest.fixture
def day(alpha: World) -> str:
    """The day of the world's one event, closed."""
    with system_scope(purpose="test"):
        close_days(now=clock.now() + timedelta(days=2), tenant_ids=[alpha.tenant.id])
    answer = read(alpha, "/usage?meter=dau&app=alpha-chat&from=2026-06-01&to=2099-01-01")
    return str(answer.json()["data"][0]["day"])


def read(world: World, path: str) -> Any:
    return call("GET", path, key=world.keys[KeyScope.READ])


def test_all_that_is_needed_to_check_it(alpha: World, day: str) -> None:
    address = f"/usage/proof?app=alpha-chat&meter=dau&day={day}"
    proof = call("GET", address, key=alpha.keys[KeyScope.FULL]).json()
    assert (proof["count"], proof["value"], proof["state"]) == ("1", "1", "closed")
    key = bytes.fromhex(proof["user_key"])
    own = verify_usage.user_hash(key, "user of alpha-chat")
    assert verify_usage.verdict(proof, own=[own])["faults"] == []

    listed = read(alpha, f"/usage/proof/hashes?app=alpha-chat&day={day}").json()
    assert listed == {"data": [{"hash": own.hex()}], "next": None}
    for hashed, counted in ((own, True), (b"\x00" * 16, False)):
        found = read(
            alpha, f"/usage/proof/inclusion?app=alpha-chat&day={day}&user_hash={hashed.hex()}"
        ).json()
        assert found["counted"] is counted
        (leaf,) = found["leaves"]
        assert verify_usage.is_included(
            entry=bytes.fromhex(leaf["hash"]),
            position=leaf["position"],
            count=int(found["count"]),
            path=[bytes.fromhex(each) for each in leaf["path"]],
            root=bytes.fromhex(found["root"]),
        )


def test_the_key_of_hashes_is_told_to_keys_that_may_do_everything_alone(
    alpha: World, day: str
) -> None:
    address = f"/usage/proof?app=alpha-chat&meter=dau&day={day}"
    whole = call("GET", address, key=alpha.keys[KeyScope.FULL]).json()
    told = read(alpha, address).json()
    assert told["user_key"] is None
    assert {**told, "user_key": whole["user_key"]} == whole
    # Who has kept the key checks with it.
    own = verify_usage.user_hash(bytes.fromhex(whole["user_key"]), "user of alpha-chat")
    assert verify_usage.verdict(told, own=[own])["faults"] == []


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("app=alpha-chat&day=2098-01-01", 409, "day_open"),
        (f"app=nobodys&day={DAY}", 404, "unknown_app"),
        (f"app=bravo-chat&day={DAY}", 404, "unknown_app"),
        (f"app=alpha-chat&day={DAY}&meter=messages", 400, "meter_without_proof"),
        (f"app=alpha-chat&day={DAY}&meter=nothing", 400, "unknown_meter"),
        ("app=alpha-chat&day=5", 400, "invalid_request"),
        ("app=alpha-chat", 400, "invalid_request"),
    ],
)
def test_what_is_refused(query: str, status: int, code: str, alpha: World) -> None:
    for path in (
        "/usage/proof?",
        "/usage/proof/hashes?",
        f"/usage/proof/inclusion?user_hash={'0' * 32}&",
    ):
        answer = read(alpha, path + query)
        assert (answer.status_code, answer.json()["code"]) == (status, code), path


def test_a_hash_is_hex(alpha: World) -> None:
    for wrong in ("user@example.com", "0" * 31, "g" * 32):
        answer = read(alpha, f"/usage/proof/inclusion?app=alpha-chat&day={DAY}&user_hash={wrong}")
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_user_hash")


def test_a_key_that_only_sends_reads_no_proof(alpha: World) -> None:
    answer = call("GET", f"/usage/proof?app=alpha-chat&day={DAY}", key=alpha.keys[KeyScope.INGEST])
    assert answer.status_code == 403


@pytest.mark.parametrize("role", Role)
def test_the_portals_proof_holds_the_key_for_who_may_make_api_keys(
    role: Role, alpha: World, day: str
) -> None:
    client = Client()
    client.force_login(alpha.people[role])
    address = f"/portal/alpha/usage/proof/?app=alpha-chat&day={day}"
    proof = json.loads(client.get(f"{address}&file=proof").content)
    assert (proof["user_key"] is not None) is (role in {Role.OWNER, Role.DEVELOPER})
    # All may look a user up.
    assert (
        "Counted: number 1 of 1"
        in client.post(address, {"user": "user of alpha-chat"}).content.decode()
    )


def test_the_portal_looks_a_user_up_and_gives_the_files(alpha: World, day: str) -> None:
    client = Client()
    client.force_login(alpha.people[Role.OWNER])
    address = f"/portal/alpha/usage/proof/?app=alpha-chat&day={day}"
    page = client.get(address)
    assert page.status_code == 200
    proof = json.loads(client.get(f"{address}&file=proof").content)
    assert proof["root"] in page.content.decode()

    hashes = b"".join(client.get(f"{address}&file=hashes").streaming_content)  # type: ignore[attr-defined]  # a stream
    own = verify_usage.hashes_of_file(hashes.decode())
    assert verify_usage.verdict(proof, own=own)["faults"] == []
    verifier = client.get("/portal/alpha/usage/proof/?file=verifier").content
    assert b"def merkle_root" in verifier

    found = client.post(address, {"user": "user of alpha-chat"}).content.decode()
    assert "Counted: number 1 of 1" in found
    assert own[0].hex() in found
    missing = client.post(address, {"user": "somebody else"}).content.decode()
    assert "Not counted on this day" in missing
    assert client.post(address, {"user": ""}).status_code == 422
    still_open = client.get("/portal/alpha/usage/proof/?app=alpha-chat&day=2098-01-01")
    assert "not closed yet" in still_open.content.decode()
