"""Rules of the code that no tool of the shelf checks, read from the syntax trees."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.urls import get_resolver
from rest_framework.views import APIView

from billing.invoicing.services.change_subscription import _ACTIONS
from metering.api.reports import IsSigned
from tenants.domain import KeyScope
from tests.api.addresses import all_addresses
from ui import words

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("kernel", "work", "tenants", "metering", "billing", "ui", "console", "portal", "config")
INTERFACES = {"api", "management", "tasks.py", "webhooks.py"}
TREES = {
    path.relative_to(ROOT): ast.parse(path.read_text(encoding="utf-8"))
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}


def found_in(*packages: str, but: frozenset[str] = frozenset()) -> Iterator[tuple[Path, ast.AST]]:
    for path, tree in TREES.items():
        if path.parts[0] in packages and not but & set(path.parts) and str(path) not in but:
            for node in ast.walk(tree):
                yield path, node


def place(path: Path, node: ast.AST) -> str:
    return f"{path}:{getattr(node, 'lineno', 0)}"


def test_import_rules_hold() -> None:
    checked = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


def test_money_and_usage_know_no_floats() -> None:
    """Seconds of waiting and of measuring may be floats; amounts, quantities and prices not."""
    floats = [
        place(path, node)
        for path, node in found_in("kernel", "billing", "metering")
        if _is_float(node) and "seconds" not in _line(path, node).lower()
    ]
    assert floats == []


def _is_float(node: ast.AST) -> bool:
    match node:
        case ast.Constant(value=float()) | ast.Attribute(attr="FloatField"):
            return True
        case ast.Name(id="float", ctx=ast.Load()):
            return True
        case _:
            return False


def _line(path: Path, node: ast.AST) -> str:
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    return str(lines[getattr(node, "lineno", 1) - 1])


def test_only_the_kernel_reads_the_clock() -> None:
    clocks = {"now", "utcnow", "today", "time", "time_ns", "localtime", "gmtime"}
    read = [
        place(path, node)
        for path, node in found_in(*PACKAGES, but=frozenset({"kernel/clock.py", "bench"}))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in clocks
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in {"datetime", "date", "time", "timezone"}
    ]
    assert [each for each in read if not each.startswith(PROCESSES)] == []


PROCESSES = (
    # They look after processes and files of this machine, not after usage or money.
    "config/bootstrap.py",
    "config/supervision.py",
    "config/run.py",
    "config/embedded/",
    "config/checks.py",
)


def test_below_the_interfaces_now_is_an_argument() -> None:
    """`clock.now` may be a default of a column, and be called by interfaces."""
    allowed = {
        "tenants/scope.py",  # the access log's own instant
        "work/commands.py",
    }
    called = [
        place(path, node)
        for path, node in found_in("kernel", "work", "tenants", "metering", "billing")
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "now"
        and getattr(node.func.value, "id", "") == "clock"
        and not INTERFACES & set(path.parts)
        and str(path) not in allowed
    ]
    assert called == []


def test_aliases_are_named_by_the_doors_alone() -> None:
    """Who names an alias goes past `tenants.scope`, so past row security."""
    allowed = ("work/", "tenants/scope.py", "tenants/row_security.py", "config/")
    named = [
        place(path, node)
        for path, node in found_in(*PACKAGES, but=frozenset({"migrations"}))
        if _names_alias(node) and not str(path).startswith(allowed)
    ]
    # The look-up of an API key is before any tenant is known; it has a function of its own.
    assert [each for each in named if not each.startswith(("tenants/api/authentication.py",))] == []


def _names_alias(node: ast.AST) -> bool:
    """`connections[X]` or `.using(X)` where X is not asked of `current_alias()`."""
    match node:
        case ast.Subscript(value=ast.Name(id="connections"), slice=alias):
            return not isinstance(alias, ast.Call)
        case ast.Call(func=ast.Attribute(attr="using"), args=[alias]):
            return not isinstance(alias, ast.Call)
        case _:
            return False


def test_messages_carry_no_time_and_no_canvas() -> None:
    """When a job is due stands in its row: Redis hands a message that waits too long out again and again. Chords and
    groups have lost errors; what follows from a job is a job."""
    words = {"eta", "countdown", "chord", "chain", "group", "apply_async", "delay"}
    found = [
        place(path, node)
        for path, node in found_in(*PACKAGES, but=frozenset({"migrations"}))
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in {"send_task", "apply_async", "delay"}
            and ({each.arg for each in node.keywords} & words or node.func.attr != "send_task")
        )
        or (
            isinstance(node, ast.ImportFrom)
            and (node.module or "").startswith("celery")
            and {each.name for each in node.names} & words
        )
    ]
    assert found == []


SESSION_LOCKS = {
    # On the owner's own direct connection, around what is no single transaction.
    "config/database.py",
    "config/demo/seeding.py",
    "work/owner.py",
}


def test_advisory_locks_end_with_their_transaction() -> None:
    """With a pooler in between, a lock of the session stays behind on a connection of somebody else."""
    of_session = re.compile(r"pg_(try_)?advisory_(unlock|lock)(_shared|_all)?\b")
    found = [
        str(path)
        for path, node in found_in(*PACKAGES)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and of_session.search(node.value)
    ]
    assert set(found) == SESSION_LOCKS


def test_settings_of_a_connection_are_local_to_a_transaction() -> None:
    """With a pooler in between, SET without LOCAL would reach another tenant's request."""
    plain_set = re.compile(r"\bSET\s+(?!LOCAL\b|CONSTRAINTS\b)\w+(\.\w+)?\s*(=|TO)\s", re.I)
    found = [
        place(path, node)
        for path, node in found_in("work", "tenants", "metering", "billing", "console", "portal")
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and "UPDATE" not in node.value.upper()
        and plain_set.search(node.value)
        # What a function sets for itself ends with its call.
        and "CREATE OR REPLACE FUNCTION" not in node.value
        and "SECURITY DEFINER" not in node.value
        and "migrations" not in path.parts
        and not _is_docstring_like(node.value)
    ]
    assert found == []


def _is_docstring_like(text: str) -> bool:
    return "``" in text or (text.count("\n") > 3 and "SELECT" not in text)


def views() -> list[tuple[str, type[APIView]]]:
    found = []
    for address in all_addresses():
        if address.route.startswith("api/v1/"):
            match = get_resolver().resolve(address.path(dict.fromkeys(address.names, "x")))
            view = getattr(match.func, "view_class", None) or getattr(match.func, "cls", None)
            if view is not None:
                found.append((address.route, view))
    return found


SIGNED_BY_GATEWAYS = {"api/v1/reports"}
"""Called with a gateway's signature instead of a tenant's key."""


@pytest.mark.parametrize(("route", "view"), views(), ids=lambda value: str(value))
def test_every_view_declares_who_may_call_it(route: str, view: type[APIView]) -> None:
    """Undeclared is refused; declared but empty would be a view that nobody may call."""
    if route in SIGNED_BY_GATEWAYS:
        assert view.permission_classes == (IsSigned,)
        return
    methods = {name.upper() for name in view.http_method_names if hasattr(view, name)} - {"HEAD"}
    scopes: dict[str, set[KeyScope]] = view.key_scopes  # type: ignore[attr-defined]  # every view of ours has it
    assert set(scopes) == methods
    assert all(scopes.values())


SYNONYMS = {
    # word that the glossary has another one for -> that one
    "customer": "tenant",
    "client_id": "tenant_id",
    "workspace": "tenant",
    "merchant": "seller",
    "employee": "staff",
    "seat": "member",
    "billing_cycle": "billing period",
    "tariff": "plan",
    "bundle": "plan",
    "allowance": "included quantity",
    "invoice_item": "line",
    "refund_note": "credit note",
    "wallet": "balance",
    "utils": "the thing itself",
    "helpers": "the thing itself",
}


def test_names_are_those_of_the_glossary() -> None:
    found = []
    for path, node in found_in(*PACKAGES, but=frozenset({"gateways", "migrations"})):
        name = getattr(node, "name", None) or getattr(node, "arg", None)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            name = node.id
        if not isinstance(name, str) or isinstance(node, (ast.alias, ast.keyword)):
            continue
        if name == "CUSTOMER_CREDIT":  # the ledger's account, under which money is posted already
            continue
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
        for synonym, word in SYNONYMS.items():
            if re.search(rf"(^|_){synonym}s?(_|$)", words):
                found.append(f"{place(path, node)} {name}: say {word}")
    assert found == []
    assert [
        str(path)
        for path in TREES
        if {"utils.py", "helpers.py", "utils", "helpers"} & set(path.parts)
    ] == []


def test_what_the_audit_trail_records_has_a_word_on_the_screens() -> None:
    recorded = {
        node.value.value
        for _, node in found_in("metering", "billing", "tenants")
        if isinstance(node, ast.keyword)
        and node.arg == "action"
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        and "." in node.value.value
    } | set(_ACTIONS.values())
    assert {"events.replayed", "subscription.paused", "usage.corrected"} <= recorded
    assert {action for action in recorded if words.word("event", action) == action} == set()
