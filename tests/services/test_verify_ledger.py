"""`verify_ledger` finds what somebody changed past every guard, and says where."""

import json
from datetime import datetime
from io import StringIO
from typing import Any

import pytest
from django.core.management import load_command_class
from django.core.management.base import OutputWrapper
from django.db import connections

from billing.invoicing.services.run_billing import create_run, execute_run
from kernel import clock
from tenants.scope import system_scope
from tests.factories import a_plan, a_subscription, a_tenant
from work.connections import OWNER


@pytest.fixture(autouse=True)
def three_invoices(db: None) -> None:
    """Three issued invoices of 199.00, the base fees of three months."""
    a_plan()
    a_subscription(a_tenant())
    with system_scope(purpose="test"):
        run_id = create_run(
            at=datetime.fromisoformat("2026-05-02T00:00:00+08:00"),
            finalize=True,
            requested_by="test",
            now=clock.now(),
        )
    execute_run(run_id=run_id, clock=clock.now)


def verify() -> tuple[int, dict[str, Any]]:
    command = load_command_class("billing", "verify_ledger")
    out = StringIO()
    command.stdout, command.stderr = OutputWrapper(out), OutputWrapper(StringIO())
    try:
        command.run_from_argv(["manage.py", "verify_ledger", "--json"])
        status = 0
    except SystemExit as left:
        status = int(left.code or 0)
    return status, json.loads(out.getvalue())


def past_the_guards(statement: str) -> None:
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            f"SET session_replication_role = replica; {statement};"
            "SET session_replication_role = DEFAULT"
        )
    connections[OWNER].close()


def test_nothing_is_wrong_with_what_a_run_made() -> None:
    assert verify()[0] == 0


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        (
            "UPDATE billing_invoice SET total_minor = 1, subtotal_minor = 1",
            "invoice_posting_differs",
        ),
        ("UPDATE billing_invoiceline SET amount_minor = amount_minor + 1", "lines_differ"),
        ("DELETE FROM billing_invoiceline", "lines_differ"),
        (
            "UPDATE billing_invoice SET status = 'paid', paid_minor = total_minor",
            "settlement_differs",
        ),
        (
            "UPDATE billing_invoice SET number = 'INV-2026-000009' WHERE number ~ '2$'",
            "number_missing",
        ),
        ("UPDATE billing_numberseries SET last = last + 1", "number_missing"),
    ],
)
def test_what_was_changed_is_found(statement: str, code: str) -> None:
    past_the_guards(statement)
    status, document = verify()
    assert (status, document["ok"], document["first_bad"]["code"]) == (1, False, code)


def test_the_missing_number_is_named() -> None:
    past_the_guards(
        "DELETE FROM billing_journalentry WHERE transaction_id IN ("
        "  SELECT id FROM billing_journaltransaction WHERE reference = 'invoice:' ||"
        "  (SELECT id FROM billing_invoice WHERE number = 'INV-2026-000003'));"
        "DELETE FROM billing_journaltransaction WHERE reference = 'invoice:' ||"
        "  (SELECT id FROM billing_invoice WHERE number = 'INV-2026-000003');"
        "DELETE FROM billing_invoiceline WHERE invoice_id ="
        "  (SELECT id FROM billing_invoice WHERE number = 'INV-2026-000003');"
        "DELETE FROM billing_invoice WHERE number = 'INV-2026-000003'"
    )
    assert verify()[1]["first_bad"] == {
        "code": "number_missing",
        "series": "INV-2026",
        "expected": 3,
        "found": 4,
    }
