"""`manage.py distribute` where there is no cluster."""

import io
import json

import pytest
from django.core.management import call_command

from work.commands import CommandFault

pytestmark = [pytest.mark.usefixtures("db"), pytest.mark.one_node]


def test_a_database_without_citus_is_refused_in_words() -> None:
    out = io.StringIO()
    with pytest.raises(CommandFault) as refused:
        call_command("distribute", "--json", stdout=out)
    assert refused.value.code == "citus_missing"
    assert json.loads(out.getvalue())["error"]["code"] == "citus_missing"
