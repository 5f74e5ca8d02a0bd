"""Who issues the invoices: what the command changes, prints and refuses."""

import io
import json
from typing import Any

import pytest
from django.core.management import call_command

from kernel.errors import Invalid
from tenants import audit
from tenants.models import AuditRecord
from tenants.scope import system_scope
from work.commands import CommandFault

pytestmark = pytest.mark.usefixtures("db")


def set_seller(*arguments: str) -> dict[str, Any]:
    out = io.StringIO()
    call_command("set_seller", *arguments, "--json", stdout=out)
    printed: dict[str, Any] = json.loads(out.getvalue())
    return printed


def test_what_is_given_is_changed_and_the_rest_stays() -> None:
    assert set_seller()["name"] == "Your company"
    set_seller("--name", "峰会云通讯有限公司", "--country", "CN")
    seller = set_seller("--number-prefix", "SUM")
    assert (seller["name"], seller["country"], seller["number_prefix"]) == (
        "峰会云通讯有限公司",
        "CN",
        "SUM",
    )
    with system_scope(purpose="test"):
        assert AuditRecord.objects.filter(action="seller.described").count() == 2
        assert audit.verify() == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("--name", " "),
        ("--name", "x" * 201),
        ("--country", "China"),
        ("--number-prefix", "inv 1"),
        ("--number-prefix", ""),
    ],
)
def test_what_an_invoice_can_not_carry_is_refused(arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandFault) as refused:
        set_seller(*arguments)
    assert refused.value.code == "invalid_seller"
    assert isinstance(refused.value.__cause__, Invalid)
    assert set_seller()["name"] == "Your company"
