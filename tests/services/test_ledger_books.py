"""The books as of any instant, on screen and as files."""

import csv
import re
import subprocess
import sys
from collections import defaultdict
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import Client

from billing.invoicing.crediting import LineCredit
from billing.invoicing.models import Invoice
from billing.invoicing.services.credit_invoice import credit_invoice
from billing.invoicing.services.run_billing import create_run, execute_run
from billing.ledger.domain import Account, BalanceKind
from billing.ledger.exports import beancount_name
from billing.ledger.services.recognize_revenue import recognize_revenue
from billing.ledger.statements import account_statement, statement_count, trial_balance
from billing.payments.services.grant_balance import grant_balance
from kernel import clock
from kernel.money import Money
from tenants.domain import StaffRole
from tenants.models import User
from tenants.scope import system_scope
from tests.factories import a_plan, a_subscription, a_tenant

ISSUED_AT = datetime.fromisoformat("2026-03-01T00:00:00+08:00")


@pytest.fixture(autouse=True)
def books(db: None) -> None:
    """Two invoices of 199.00 in advance on 1 March, one of them credited by 9.00 on the 10th, and the
    first three days earned on the 4th."""
    a_plan()
    for key in ("acme", "beta"):
        a_subscription(a_tenant(key, apps=(f"{key}-chat",)))
    with system_scope(purpose="test"):
        run_id = create_run(at=ISSUED_AT, finalize=True, requested_by="test", now=clock.now())
    execute_run(run_id=run_id, clock=clock.now)
    recognize_revenue(through=date(2026, 3, 3), now=at("2026-03-04T12:00"))
    with system_scope(purpose="test"):
        credit_invoice(
            invoice_id=Invoice.objects.get(tenant__key="acme").id,
            lines=[LineCredit(position=1, amount=Money.of("9.00", "CNY"))],
            reason="test",
            now=at("2026-03-10T00:00"),
            actor="test",
        )


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def balances(instant: datetime) -> dict[str, str]:
    with system_scope(purpose="test"):
        rows = trial_balance(at=instant)
    assert sum(row.balance.minor for row in rows) == 0
    assert all(row.debits - row.credits == row.balance for row in rows)
    return {row.account: f"{row.balance.amount:f}" for row in rows}


def test_the_trial_balance_of_any_instant() -> None:
    assert balances(ISSUED_AT.replace(year=2025)) == {}
    assert balances(ISSUED_AT) == {"receivable": "398.00", "deferred_revenue": "-398.00"}
    # 199.00 × 3 ÷ 31 = 19.258…: 19.26 of each.
    assert balances(at("2026-03-09T23:59")) == {
        "receivable": "398.00",
        "deferred_revenue": "-359.48",
        "revenue": "-38.52",
    }
    assert balances(at("2026-03-10T00:00")) == {
        "receivable": "389.00",
        "deferred_revenue": "-350.48",
        "revenue": "-38.52",
    }


def test_a_statement_has_each_entry_with_the_balance_after_it() -> None:
    asked = {"account": "receivable", "currency": "CNY", "at": at("2026-04-01T00:00")}
    with system_scope(purpose="test"):
        rows = account_statement(**asked, limit=10)  # type: ignore[arg-type]  # named as its arguments
        second = account_statement(**asked, limit=1, offset=1)  # type: ignore[arg-type]  # the same
        of_acme = account_statement(**asked, limit=10, tenant_key="acme")  # type: ignore[arg-type]  # the same
        assert statement_count(**asked) == 3  # type: ignore[arg-type]  # the same
    assert [(f"{row.amount.amount:f}", f"{row.balance.amount:f}") for row in rows] == [
        ("-9.00", "389.00"),
        ("199.00", "398.00"),
        ("199.00", "199.00"),
    ]
    assert second == rows[1:2]
    assert [f"{row.balance.amount:f}" for row in of_acme] == ["190.00", "199.00"]


def exported(tmp_path: Path, kind: str) -> str:
    file = tmp_path / f"journal.{kind}"
    call_command(
        "export_journal", "--from", "2026-02-01", "--to", "2026-04-01", "--format", kind,
        "--output", str(file),
    )  # fmt: skip
    return file.read_text(encoding="utf-8")


def test_the_csv_holds_every_entry(tmp_path: Path) -> None:
    rows = list(csv.DictReader(exported(tmp_path, "csv").splitlines()))
    sums: dict[str, Decimal] = defaultdict(Decimal)
    transactions: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        sums[row["account"]] += Decimal(row["amount"])
        transactions[row["transaction"]] += Decimal(row["amount"])
    assert sums == {
        "receivable": Decimal("389.00"),
        "deferred_revenue": Decimal("-350.48"),
        "revenue": Decimal("-38.52"),
    }
    # Two invoices, three days of recognition of each, one credit note.
    assert len(transactions) == 2 + 6 + 1
    assert set(transactions.values()) == {Decimal("0.00")}
    assert rows[0]["tenant"] in {"acme", "beta"}


def test_the_csv_holds_no_formula(tmp_path: Path) -> None:
    with system_scope(purpose="test"):
        for reason in ("-2+3", "=1+1", "@sum", "+1"):
            grant_balance(
                tenant_id=Invoice.objects.get(tenant__key="acme").tenant_id,
                kind=BalanceKind.GIFT,
                amount=Money.of("1.00", "CNY"),
                expires_at=None,
                reason=reason,
                now=at("2026-03-11T00:00"),
                actor="test",
            )
    rows = list(csv.DictReader(exported(tmp_path, "csv").splitlines()))
    told = {row["description"] for row in rows if row["kind"] == "balance_grant"}
    assert told == {"'-2+3", "'=1+1", "'@sum", "'+1"}
    # An amount stays a number.
    assert "-1.00" in {row["amount"] for row in rows}


def test_the_beancount_file_opens_its_accounts_and_balances(tmp_path: Path) -> None:
    """Read by the grammar of the beancount manual: directives begin in the first column, metadata and
    postings are indented, and a transaction's postings sum to zero."""
    text = exported(tmp_path, "beancount")
    opened: set[str] = set()
    sums: list[Decimal] = []
    for line in filter(None, text.splitlines()):
        if found := re.fullmatch(r"\d{4}-\d\d-\d\d open ([A-Z][A-Za-z]+:[A-Z][A-Za-z]+)", line):
            opened.add(found[1])
        elif re.fullmatch(r'\d{4}-\d\d-\d\d \* "[a-z]+" "[^"]+"', line):
            sums.append(Decimal(0))
        elif found := re.fullmatch(r"  ([A-Z]\w+:[A-Z]\w+)  (-?\d+\.\d\d) [A-Z]{3}", line):
            assert found[1] in opened
            sums[-1] += Decimal(found[2])
        else:
            assert re.fullmatch(r'(option "title" "Summit")|(  [a-z]+: "[^"]+")', line), line
    assert len(sums) == 9
    assert set(sums) == {Decimal(0)}
    assert "Liabilities:DeferredRevenue" in opened


def bean_check(file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).parent / "bean-check"), "--no-cache", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_beancounts_own_program_takes_the_file_and_finds_the_same_balances(tmp_path: Path) -> None:
    file = tmp_path / "journal.beancount"
    exported(tmp_path, "beancount")
    told = balances(at("2026-04-01T00:00"))
    # A balance directive is checked at the beginning of its day.
    file.write_text(
        file.read_text(encoding="utf-8")
        + "".join(
            f"2026-04-01 balance {beancount_name(Account(account))} {amount} CNY\n"
            for account, amount in told.items()
        ),
        encoding="utf-8",
    )
    checked = bean_check(file)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    assert len(told) >= 3
    # It does find what is wrong: one entry that is one cent more.
    wrong = re.sub(r" 199\.00 CNY", " 199.01 CNY", file.read_text(encoding="utf-8"), count=1)
    file.write_text(wrong, encoding="utf-8")
    assert bean_check(file).returncode == 1


def test_the_days_of_an_export_are_in_order() -> None:
    with pytest.raises(Exception, match="not after"):
        call_command(
            "export_journal", "--from", "2026-02-01", "--to", "2026-02-01", "--output", "-"
        )


def test_the_console_shows_both() -> None:
    with system_scope(purpose="test"):
        auditor = User.objects.create_user("auditor@summit.test", staff_role=StaffRole.AUDITOR)
        sales = User.objects.create_user("sales@summit.test", staff_role=StaffRole.SALES)
    client, stranger = Client(), Client()
    backend = "allauth.account.auth_backends.AuthenticationBackend"
    client.force_login(auditor, backend=backend)
    stranger.force_login(sales, backend=backend)

    shown = client.get("/console/ledger/?on=2026-03-10").content.decode()
    assert "389.00" in shown
    assert "350.48" in shown
    statement = client.get("/console/ledger/receivable/CNY/?on=2026-03-10&q=acme")
    assert "190.00" in statement.content.decode()
    assert "389.00" in client.get("/console/ledger/?on=2026-03-10&format=csv").content.decode()
    assert "Nothing was posted" in client.get("/console/ledger/?on=2020-01-01").content.decode()
    for day in ("0001-01-01", "9999-12-31", "nonsense"):
        assert client.get(f"/console/ledger/?on={day}").status_code == 200
    assert client.get("/console/ledger/nothing/CNY/").status_code == 404
    assert client.get("/console/ledger/receivable/XXXX/").status_code == 404
    assert stranger.get("/console/ledger/").status_code == 403
