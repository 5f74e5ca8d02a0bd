"""Many tenants billed while everything is struck: nothing is doubled, missing or different."""

import io
import json
from typing import Any

import pytest
from django.core.management import call_command

from config.capacity import storm
from config.capacity.proof import faults

pytestmark = pytest.mark.one_node


def _proof(*, tenants: int, blows: int) -> dict[str, Any]:
    out = io.StringIO()
    call_command("capacity", "--tenants", str(tenants), "--blows", str(blows), "--json", stdout=out)
    proof: dict[str, Any] = json.loads(out.getvalue())
    return proof


def _assert_nothing_shows(proof: dict[str, Any], *, tenants: int, blows: int) -> None:
    assert proof["ok"], proof
    assert proof["documents"] == proof["expected_documents"] == 2 * tenants
    assert proof["first_difference"] == ""
    assert proof["books"]["ok"]
    assert proof["second_run_found"] == 0
    assert proof["begun_ahead_of_time"] == []
    assert proof["dealt_blows"] == len(proof["blows"]) == blows
    assert set(proof["struck"]) == set(storm.ROUND)
    # Each fell while a transaction was open, from the first document to nearly the last.
    assert all(blow["within"] for blow in proof["blows"])
    assert proof["blows"][0]["after_documents"] == 0
    assert proof["blows"][-1]["after_documents"] > tenants / 2


@pytest.mark.timeout(900)
def test_three_hundred_tenants_in_a_storm() -> None:
    proof = _proof(tenants=300, blows=len(storm.ROUND))
    _assert_nothing_shows(proof, tenants=300, blows=len(storm.ROUND))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_thousand_tenants_struck_fifty_times() -> None:
    _assert_nothing_shows(_proof(tenants=2000, blows=50), tenants=2000, blows=50)


def test_blows_that_did_not_fall_are_a_fault_of_the_proof() -> None:
    whole: dict[str, Any] = {
        "difference": "",
        "books_agree": True,
        "found_again": 0,
        "ahead": [],
        "asked": 50,
        "dealt": 50,
    }
    assert faults(**whole) == []
    assert faults(**whole | {"dealt": 6}) == ["Of 50 blows only 6 fell before the run was over."]
    for broken in (
        {"difference": "line 1"},
        {"books_agree": False},
        {"found_again": 1},
        {"ahead": ["slot of billing.run"]},
    ):
        assert len(faults(**whole | broken)) == 1
