"""A statement of account agrees with the ledger, its documents and its files, or is not handed out."""

import csv
import hashlib
import io
import logging
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.db import DatabaseError, connections, transaction
from pypdf import PdfReader

from billing.invoicing.crediting import LineCredit
from billing.invoicing.models import Invoice
from billing.invoicing.services.ask_of_invoice import request_write_off
from billing.invoicing.services.credit_invoice import credit_invoice
from billing.invoicing.services.decide_on_invoice import approve_on_invoice
from billing.invoicing.services.run_billing import create_run, execute_run
from billing.ledger.domain import BalanceKind
from billing.ledger.queries import account_balances
from billing.payments.services.grant_balance import grant_balance
from billing.payments.services.pay_from_balance import pay_from_balance
from billing.payments.services.record_bank_transfer import record_bank_transfer
from billing.statements.detail_files import compare_file, write_details
from billing.statements.domain.figures import Detail, Difference
from billing.statements.domain.states import DetailTable, StatementState
from billing.statements.files.formats import detail_files
from billing.statements.models import MonthlyStatement, Statement, StatementFilePart
from billing.statements.queries import (
    StatementRow,
    shown_figures,
    statement_file,
    statement_of,
)
from billing.statements.rows import DetailReader
from billing.statements.services.make_statement import make_statement
from billing.statements.services.request_monthly import request_monthly_statements
from billing.statements.services.request_statement import request_statement
from billing.statements.services.set_monthly import set_monthly_statements
from kernel import clock
from kernel.errors import Conflict, DomainError, Invalid, NotFound
from kernel.money import Money
from kernel.period import Period
from tenants.domain import StaffRole
from tenants.models import Tenant, User
from tenants.scope import system_scope, tenant_scope, tenant_snapshot
from tenants.services.create_tenant import CreatedTenant
from tenants.services.people import NewPerson, create_staff
from tests.factories import a_plan, a_subscription, a_tenant, some_usage
from work.connections import JOBS, OWNER
from work.jobs import run_pending
from work.models import OutboxMessage

NOW = datetime(2026, 6, 2, tzinfo=UTC)


def bill(at: str) -> None:
    with system_scope(purpose="test"):
        run_id = create_run(
            at=datetime.fromisoformat(at),
            finalize=True,
            tenant_key="",
            requested_by="test",
            now=clock.now(),
        )
    execute_run(run_id=run_id, clock=clock.now)


@pytest.fixture
def tenant(db: None) -> CreatedTenant:
    """A tenant with three months of invoices: 199 on 1 March, 214 on 2 April, 204 on 2 May."""
    a_plan()
    made = a_tenant()
    a_subscription(made)
    some_usage(made, {date(2026, 3, 5): 35, date(2026, 4, 7): 12})
    for at in ("2026-03-01", "2026-04-02", "2026-05-02"):
        bill(f"{at}T00:00:00+08:00")
    return made


def asked(tenant: CreatedTenant, first: date, end: date, currency: str = "CNY") -> UUID:
    with tenant_scope(tenant.id):
        return request_statement(
            tenant_id=tenant.id,
            currency=currency,
            starts_on=first,
            ends_on=end,
            now=NOW,
            actor="test",
        )


def made(tenant: CreatedTenant, first: date, end: date, currency: str = "CNY") -> StatementRow:
    statement_id = asked(tenant, first, end, currency)
    make_statement(statement_id=statement_id, now=NOW)
    with tenant_scope(tenant.id):
        return statement_of(statement_id=statement_id)


def content(tenant: CreatedTenant, row: StatementRow, name: str) -> bytes:
    with tenant_scope(tenant.id):
        found = statement_file(statement_id=row.id, name=name)
    return b"".join(found.parts())


def table(tenant: CreatedTenant, row: StatementRow, name: DetailTable) -> list[dict[str, str]]:
    text = content(tenant, row, f"{name}.csv").decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def settled(tenant: CreatedTenant) -> None:
    """Of the invoices: the first paid by bank with 1 too much, the second by a voucher and a credit note."""
    with system_scope(purpose="test"):
        staff = create_staff(
            person=NewPerson(email="staff@example.com"),
            role=StaffRole.FINANCE,
            now=clock.now(),
            actor="test",
        )
    with tenant_scope(tenant.id):
        first, second, _ = Invoice.objects.order_by("number")
    at = datetime(2026, 4, 10, tzinfo=UTC)
    record_bank_transfer(
        user=User.objects.get(pk=staff.user_id),
        invoice_id=first.id,
        amount=Money.of("200.00", "CNY"),
        received_on=date(2026, 4, 9),
        reference="=TRANSFER1",
        now=at,
    )
    with system_scope(purpose="test"):
        grant_balance(
            tenant_id=tenant.id,
            kind=BalanceKind.VOUCHER,
            amount=Money.of("50.00", "CNY"),
            expires_at=None,
            reason="test",
            now=at,
            actor="test",
        )
        pay_from_balance(tenant_id=tenant.id, invoice_id=second.id, now=at + timedelta(hours=1))
        credit_invoice(
            invoice_id=second.id,
            lines=[LineCredit(position=1, amount=Money.of("5.00", "CNY"))],
            reason="test",
            now=at + timedelta(hours=2),
            actor="test",
        )


def test_the_months_join_and_end_at_the_ledger(tenant: CreatedTenant) -> None:
    settled(tenant)
    months = [made(tenant, date(2026, month, 1), date(2026, month + 1, 1)) for month in (3, 4, 5)]
    shown = [shown_figures(row) for row in months]
    assert [row.state for row in months] == [StatementState.READY] * 3
    assert [str(each.opening) for each in shown if each] == ["0.00 CNY", "199.00 CNY", "158.00 CNY"]
    assert [str(each.closing) for each in shown if each] == [
        "199.00 CNY",
        "158.00 CNY",
        "362.00 CNY",
    ]
    assert shown[1] is not None
    assert {kind: (count, str(amount)) for kind, count, amount in shown[1].movements} == {
        "invoice": (1, "214.00 CNY"),
        "payment": (1, "-199.00 CNY"),
        # The voucher's 50 and the 1 that was paid too much.
        "balance_draw": (1, "-51.00 CNY"),
        "credit_note": (1, "-5.00 CNY"),
    }
    with tenant_scope(tenant.id):
        ledger = account_balances(tenant_id=tenant.id)
    assert months[-1].closing == ledger["receivable", "CNY"]


def test_what_was_lost_and_recovered_is_told(tenant: CreatedTenant) -> None:
    with tenant_scope(tenant.id):
        first = Invoice.objects.order_by("number")[0]
    at = datetime(2026, 4, 10, tzinfo=UTC)
    with system_scope(purpose="test"):
        request_id = request_write_off(invoice_id=first.id, reason="x", now=at, actor="user:1")
        approve_on_invoice(request_id=request_id, now=at, actor="user:2")
        accountant = User.objects.create_user("b@summit.test", "x", staff_role=StaffRole.FINANCE)
    record_bank_transfer(
        user=accountant,
        invoice_id=first.id,
        amount=Money.of("50.00", "CNY"),
        received_on=at.date(),
        reference="a part of it",
        now=at + timedelta(hours=1),
    )
    row = made(tenant, date(2026, 4, 1), date(2026, 5, 1))
    assert row.state == StatementState.READY
    shown = shown_figures(row)
    assert shown is not None
    told = {kind: str(amount) for kind, _, amount in shown.movements}
    assert (told["write_off"], told["recovery"], told["payment"]) == (
        "-199.00 CNY",
        "50.00 CNY",
        "-50.00 CNY",
    )


def test_the_prepaid_balance_has_a_section_of_its_own(tenant: CreatedTenant) -> None:
    settled(tenant)
    row = made(tenant, date(2026, 4, 1), date(2026, 5, 1))
    assert row.figures is not None
    told = {each["kind"]: each for each in row.figures["balance"]}
    assert told["voucher"] == {
        "kind": "voucher", "opening": "0.00", "movements": "0.00", "closing": "0.00",
    }  # fmt: skip
    moved = table(tenant, row, DetailTable.BALANCE)
    assert [(each["kind"], each["balance_kind"], each["amount"]) for each in moved] == [
        ("payment", "cash", "1.00"),
        ("balance_grant", "voucher", "50.00"),
        ("balance_draw", "cash", "-1.00"),
        ("balance_draw", "voucher", "-50.00"),
    ]


def test_rows_say_what_the_invoices_say(tenant: CreatedTenant) -> None:
    settled(tenant)
    row = made(tenant, date(2026, 4, 1), date(2026, 5, 1))
    lines = table(tenant, row, DetailTable.LINES)
    assert [(each["price"], each["app"], each["quantity"], each["total"]) for each in lines] == [
        ("dau", "chat", "3", "15.00"),
        ("base", "", "1", "199.00"),
        ("dau", "", "", "-5.00"),
    ]
    assert [each["first_day"] for each in lines] == ["2026-03-01", "2026-04-01", "2026-03-01"]
    days = table(tenant, row, DetailTable.DAYS)
    assert [(each["meter"], each["day"], each["quantity"]) for each in days] == [
        ("dau", "2026-03-05", "35")
    ]
    moved = table(tenant, row, DetailTable.MOVEMENTS)
    assert moved[-1]["balance"] == "158.00"
    assert moved[0]["document_on"] == "2026-04-02"
    assert moved[0]["due_on"] == "2026-04-17"


def test_what_a_spreadsheet_would_run_is_a_text(tenant: CreatedTenant) -> None:
    settled(tenant)
    row = made(tenant, date(2026, 4, 1), date(2026, 5, 1))
    (payment,) = (
        each for each in table(tenant, row, DetailTable.MOVEMENTS) if each["kind"] == "payment"
    )
    assert payment["document"] == "'=TRANSFER1"
    assert payment["amount"] == "-199.00"


def test_ages_count_from_the_due_date(tenant: CreatedTenant) -> None:
    row = made(tenant, date(2026, 3, 1), date(2026, 5, 18))
    assert row.figures is not None
    # 199 was due on 16 March, 214 on 17 April and 204 on 17 May, which is the last day here.
    assert row.figures["open_items"] == {
        "not_due": "204.00", "1_30": "214.00", "31_60": "0.00", "61_90": "199.00", "over_90": "0.00",
    }  # fmt: skip
    later = made(tenant, date(2026, 3, 1), date(2026, 5, 19))
    assert later.figures is not None
    assert later.figures["open_items"]["1_30"] == "204.00"
    assert later.figures["open_items"]["31_60"] == "214.00"


def test_the_paper_tells_what_was_checked(tenant: CreatedTenant) -> None:
    settled(tenant)
    row = made(tenant, date(2026, 3, 1), date(2026, 6, 1))
    pdf = content(tenant, row, "statement.pdf")
    text = " ".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)
    assert "Summary = detail: 6 lines, CNY 612.00, checked" in text
    for file in row.files[1:]:
        kept = content(tenant, row, file.name)
        assert hashlib.sha256(kept).hexdigest() == file.sha256
        assert file.sha256 in text.replace("\n", "").replace(" ", "")


def test_in_chinese(tenant: CreatedTenant) -> None:
    with system_scope(purpose="test"):
        Tenant.objects.filter(id=tenant.id).update(language="zh-hans", name="杭州清禾科技有限公司")
    row = made(tenant, date(2026, 3, 1), date(2026, 6, 1))
    pdf = content(tenant, row, "statement.pdf")
    text = " ".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)
    assert "对账单" in text
    assert "汇总与明细一致：5 行，CNY 617.00，已核对" in text


def test_of_days_on_which_nothing_moved(tenant: CreatedTenant) -> None:
    row = made(tenant, date(2026, 1, 1), date(2026, 2, 1))
    assert (str(row.opening), str(row.closing)) == ("0.00 CNY", "0.00 CNY")
    assert table(tenant, row, DetailTable.MOVEMENTS) == []
    other = made(tenant, date(2026, 3, 1), date(2026, 6, 1), "KWD")
    assert str(other.closing) == "0.000 KWD"


def without_guards(statement: str) -> None:
    """Change what the guards would refuse: a fault from outside."""
    with transaction.atomic(using=OWNER), connections[OWNER].cursor() as db:
        db.execute("SET LOCAL session_replication_role = replica")
        db.execute(statement)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (
            (
                "UPDATE billing_invoice SET total_minor = total_minor + 1,"
                " subtotal_minor = subtotal_minor + 1 WHERE status = 'open'"
            ),
            "document_differs",
        ),
        (
            "UPDATE billing_payment SET allocated_minor = allocated_minor - 1, credited_minor = credited_minor + 1",
            "document_differs",
        ),
        ("UPDATE billing_balancedraw SET amount_minor = amount_minor - 1", "document_differs"),
        ("DELETE FROM billing_paymentallocation", "open_items_differ"),
        ("UPDATE billing_invoiceline SET amount_minor = amount_minor + 1", "detail_differs"),
        ("UPDATE billing_balancelot SET amount_minor = amount_minor + 1", "balance_differs"),
    ],
)
def test_one_cent_of_difference_keeps_it_back(
    tenant: CreatedTenant, fault: str, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    settled(tenant)
    without_guards(fault)
    with caplog.at_level(logging.ERROR):
        row = made(tenant, date(2026, 3, 1), date(2026, 6, 1))
    assert (row.state, row.failure_code) == (StatementState.FAILED, code)
    assert row.failure
    assert row.files == []
    assert str(row.id) in caplog.text
    with system_scope(purpose="test"):
        assert OutboxMessage.objects.filter(topic="statement.failed", key=str(row.id)).exists()


@pytest.mark.parametrize("name", ["lines.csv", "lines.parquet", "details.xlsx"])
def test_a_file_that_lost_a_row_is_noticed(
    tenant: CreatedTenant, tmp_path: Path, name: str
) -> None:
    (file,) = (each for each in detail_files() if each.name == name)
    period = Period(datetime(2026, 3, 1, tzinfo=UTC), NOW)
    with tenant_snapshot(tenant.id):
        reader = DetailReader(
            tenant_id=tenant.id,
            currency="CNY",
            period=period,
            zone=ZoneInfo(tenant.timezone),
            opening=Money.zero("CNY"),
        )
        told = write_details(tmp_path, reader, currency="CNY", made_at=NOW).details
    assert not isinstance(compare_file(file, tmp_path, details=told, currency="CNY"), Difference)
    lines = told[DetailTable.LINES]
    more = {**told, DetailTable.LINES: Detail(rows=lines.rows + 1, sum=lines.sum)}
    less = {**told, DetailTable.LINES: Detail(rows=lines.rows, sum=lines.sum - Decimal("0.01"))}
    for other in (more, less):
        found = compare_file(file, tmp_path, details=other, currency="CNY")
        assert isinstance(found, Difference)
        assert found.code == "file_differs"
        assert found.detail.startswith(f"{name} (lines) has {lines.rows} rows")


def test_killed_in_the_middle_it_is_made_by_the_next_run(tenant: CreatedTenant) -> None:
    statement_id = asked(tenant, date(2026, 3, 1), date(2026, 6, 1))

    def killed(done: int, of: int) -> None:
        if done > 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_statement(statement_id=statement_id, now=NOW, on_progress=killed)
    with tenant_scope(tenant.id):
        assert statement_of(statement_id=statement_id).state is StatementState.REQUESTED
        assert not StatementFilePart.objects.exists()
    assert make_statement(statement_id=statement_id, now=NOW) is StatementState.READY
    with tenant_scope(tenant.id):
        before = statement_of(statement_id=statement_id)
    assert make_statement(statement_id=statement_id, now=NOW) is StatementState.READY
    with tenant_scope(tenant.id):
        assert statement_of(statement_id=statement_id) == before


def test_equal_content_gives_equal_bytes(tenant: CreatedTenant) -> None:
    """Of details; the paper names the statement that it is."""
    one, other = (made(tenant, date(2026, 3, 1), date(2026, 6, 1)) for _ in range(2))
    assert one.id != other.id
    assert [file.sha256 for file in one.files[1:]] == [file.sha256 for file in other.files[1:]]


@pytest.mark.parametrize(
    ("first", "end", "currency", "code", "kind"),
    [
        (date(2026, 3, 1), date(2026, 3, 1), "CNY", "end_before_start", Invalid),
        (date(2026, 6, 1), date(2026, 6, 4), "CNY", "statement_period_not_over", Conflict),
        (date(2026, 3, 1), date(2026, 4, 1), "ZZZ", "unknown_currency", Invalid),
    ],
)
def test_what_is_refused(
    tenant: CreatedTenant, first: date, end: date, currency: str, code: str, kind: type[DomainError]
) -> None:
    with pytest.raises(kind) as refused:
        asked(tenant, first, end, currency)
    assert refused.value.code == code


def test_asked_twice_while_it_is_made_it_is_one(tenant: CreatedTenant) -> None:
    first = asked(tenant, date(2026, 3, 1), date(2026, 4, 1))
    assert asked(tenant, date(2026, 3, 1), date(2026, 4, 1)) == first
    run_pending(now=clock.now(), kinds=["billing.make_statement"])
    with tenant_scope(tenant.id):
        assert statement_of(statement_id=first).state is StatementState.READY


def test_another_tenants_file_is_not_found(tenant: CreatedTenant) -> None:
    row = made(tenant, date(2026, 3, 1), date(2026, 4, 1))
    other = a_tenant("beta", apps=("beta-chat",))
    with tenant_scope(other.id), pytest.raises(NotFound):
        statement_file(statement_id=row.id, name="statement.pdf")


def test_months_come_by_themselves(tenant: CreatedTenant) -> None:
    with tenant_scope(tenant.id):
        set_monthly_statements(
            tenant_id=tenant.id, wanted=True, now=datetime(2026, 4, 10, tzinfo=UTC), actor="test"
        )
    # In the tenant's zone April ends at 16:00 UTC; a day later its statement is due.
    over = datetime(2026, 4, 30, 16, tzinfo=UTC)
    assert request_monthly_statements(now=over + timedelta(hours=23)) == 0
    assert request_monthly_statements(now=over + timedelta(days=1)) == 1
    assert request_monthly_statements(now=over + timedelta(days=2)) == 0
    # A month that nobody looked at is made up for.
    assert request_monthly_statements(now=datetime(2026, 7, 3, tzinfo=UTC)) == 2
    with tenant_scope(tenant.id):
        months = Statement.objects.order_by("starts_on").values_list("starts_on", "ends_on")
        assert list(months) == [
            (date(2026, month, 1), date(2026, month + 1, 1)) for month in (4, 5, 6)
        ]
        set_monthly_statements(tenant_id=tenant.id, wanted=False, now=NOW, actor="test")
        assert not MonthlyStatement.objects.exists()
    assert request_monthly_statements(now=datetime(2026, 9, 3, tzinfo=UTC)) == 0


def test_the_database_keeps_what_was_told(tenant: CreatedTenant) -> None:
    made(tenant, date(2026, 3, 1), date(2026, 4, 1))
    for statement in (
        "UPDATE billing_statement SET figures = '{}'",
        "UPDATE billing_statement SET state = 'requested', figures = NULL, finished_at = NULL",
        "DELETE FROM billing_statement",
        "UPDATE billing_statementfile SET size = 0",
        "UPDATE billing_statementfilepart SET content = ''",
        "DELETE FROM billing_statementfilepart",
    ):
        with (
            pytest.raises(DatabaseError),
            transaction.atomic(using=JOBS),
            connections[JOBS].cursor() as db,
        ):
            db.execute(statement)


def test_sums_are_exact(tenant: CreatedTenant) -> None:
    row = made(tenant, date(2026, 3, 1), date(2026, 6, 1))
    lines = table(tenant, row, DetailTable.LINES)
    assert sum((Decimal(each["total"]) for each in lines), Decimal()) == Decimal("617.00")
