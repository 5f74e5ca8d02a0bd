"""Rules of money and law that hold over the whole code and schema, each named by what it says."""

import ast
import re

import pytest
from django.db import connections

from billing.invoicing.domain import (
    TRANSITIONS,
    InvoiceStatus,
    credit_note_prefix,
    invoice_number,
)
from billing.invoicing.models import CreditNote, Invoice, Seller
from tests.api.addresses import all_addresses
from tests.api.test_answers import document
from tests.architecture.test_code_rules import found_in, place
from work.connections import OWNER

ROUND_HERE = {"kernel/decimals.py"}
"""The one function that rounds money and quantities."""
OTHER_ROUNDING = {
    # A number of the screen's axis, and seconds that were measured.
    "ui/formats.py",
    "billing/management/commands/bill.py",
    "work/owner.py",
}
ROUND_IN_SQL = {
    # Days of deferred revenue, split from cumulative sums; PostgreSQL rounds numeric as the kernel does,
    # which tests of recognition hold against each other.
    "billing/ledger/recognition.py",
}


@pytest.mark.usefixtures("db")
def test_no_column_holds_a_float() -> None:
    """Amounts are whole minor units, quantities and prices exact decimals."""
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            "SELECT table_name || '.' || column_name FROM information_schema.columns"
            " WHERE table_schema = current_schema() AND data_type IN ('real', 'double precision')"
        )
        assert cursor.fetchall() == []
        cursor.execute(
            "SELECT table_name || '.' || column_name FROM information_schema.columns"
            " WHERE table_schema = current_schema() AND column_name LIKE '%%\\_minor'"
            " AND data_type <> 'bigint'"
        )
        assert cursor.fetchall() == []


def test_money_is_rounded_in_one_function() -> None:
    """No `round()`, `quantize()` or SQL `round()` anywhere else."""
    found = set()
    for path, node in found_in("kernel", "work", "tenants", "metering", "billing", "ui"):
        if isinstance(node, ast.Call):
            named = node.func
            if (isinstance(named, ast.Name) and named.id == "round") or (
                isinstance(named, ast.Attribute)
                and named.attr in {"quantize", "to_integral", "to_integral_value"}
            ):
                found.add(str(path))
    assert found <= ROUND_HERE | OTHER_ROUNDING, found - ROUND_HERE - OTHER_ROUNDING


def test_sql_rounds_no_money() -> None:
    found = {
        str(path): place(path, node)
        for path, node in found_in("metering", "billing", but=frozenset({"migrations"}))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.search(r"\b(round|trunc)\s*\(", node.value)
        and re.search(r"\b(SELECT|UPDATE|INSERT)\b|::numeric", node.value)
    }
    assert set(found) <= ROUND_IN_SQL, found


def test_no_interface_deletes_or_voids_a_final_document() -> None:
    """What is wrong is corrected by a credit note, which names the original."""
    for path, operations in document()["paths"].items():
        if re.search(r"/(invoices|credit-notes|payments|statements)", path):
            assert not {"delete", "put", "patch"} & set(operations), path
    assert not [each for each in all_addresses() if "void" in each.route]
    for status in (InvoiceStatus.OPEN, InvoiceStatus.PAID, InvoiceStatus.UNCOLLECTIBLE):
        assert InvoiceStatus.VOID not in TRANSITIONS[status]
        assert InvoiceStatus.DRAFT not in TRANSITIONS[status]
    fields = {field.name for field in CreditNote._meta.get_fields()}
    assert "invoice" in fields


def test_numbers_are_short_plain_and_unique() -> None:
    """Of each seller a series for invoices and one for credit notes, by year; 30 characters at most."""
    longest = "X" * int(Seller._meta.get_field("number_prefix").max_length or 0)
    for prefix in ("INV", longest):
        for series in (prefix, credit_note_prefix(prefix)):
            number = invoice_number(prefix=series, year=2026, sequence=99_999_999)
            assert len(number) <= 30
            assert re.fullmatch(r"[A-Z0-9-]+-2026-[0-9]{6,}", number)
    for model in (Invoice, CreditNote):
        field = model._meta.get_field("number")
        assert (field.unique, field.max_length) == (True, 30)
    assert credit_note_prefix("INV") != "INV"
