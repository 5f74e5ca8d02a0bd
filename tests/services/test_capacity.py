"""Two thousand tenants billed while everything is killed: nothing is doubled, missing or different."""

import io
import json

import pytest
from django.core.management import call_command

pytestmark = pytest.mark.one_node


@pytest.mark.timeout(1200)
def test_two_thousand_tenants_in_a_storm() -> None:
    out = io.StringIO()

    call_command("capacity", "--tenants", "2000", "--json", stdout=out)

    proof = json.loads(out.getvalue())
    assert proof["ok"], proof
    assert proof["documents"] == proof["expected_documents"] == 4000
    assert proof["first_difference"] == ""
    assert proof["books"]["ok"]
    assert proof["second_run_found"] == 0
    struck = {each["what"] for each in proof["blows"]}
    assert struck >= {"worker", "database"}, "the run ended before it could be disturbed"
