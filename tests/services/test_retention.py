"""Files are kept as long as the law of the seller's country wants, and go only then, unless a hold keeps them."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime

import pytest
from django.db import DatabaseError, connections, transaction

from billing.invoicing.models import Invoice, InvoiceFile
from billing.invoicing.services.describe_seller import describe_seller
from billing.invoicing.services.print_invoice import print_invoice
from billing.invoicing.services.run_billing import create_run, execute_run
from billing.retention.domain import FileKind, RecordKind, retained_until
from billing.retention.models import LegalHold, RemovedFile, RetentionRule
from billing.retention.queries import retention_of_invoice
from billing.retention.services.hold_tenant import lift_legal_hold, set_legal_hold
from billing.retention.services.raise_rule import raise_retention
from billing.retention.services.remove_files import remove_files
from billing.statements.models import StatementFile, StatementFilePart
from billing.statements.queries import statement_of
from billing.statements.services.make_statement import make_statement
from billing.statements.services.request_statement import request_statement
from kernel import clock
from kernel.errors import Conflict, DomainError, Invalid
from tenants.models import AuditRecord
from tenants.scope import system_scope, tenant_scope
from tenants.services.create_tenant import CreatedTenant
from tests.factories import a_plan, a_subscription, a_tenant
from work.connections import JOBS, OWNER

NONE = dict.fromkeys(FileKind, 0)
ISSUED_IN = 2026


def seller_in(country: str) -> None:
    with system_scope(purpose="test"):
        describe_seller(changes={"country": country}, now=clock.now(), actor="test")


@pytest.fixture
def tenant(db: None) -> CreatedTenant:
    a_plan()
    made = a_tenant()
    a_subscription(made)
    return made


def printed_and_paid(tenant: CreatedTenant) -> Invoice:
    """An invoice of 1 March 2026 with its PDF, which is paid."""
    with system_scope(purpose="test"):
        run_id = create_run(
            at=datetime(2026, 3, 1, tzinfo=UTC),
            finalize=True,
            tenant_key="",
            requested_by="test",
            now=clock.now(),
        )
    execute_run(run_id=run_id, clock=clock.now)
    with tenant_scope(tenant.id):
        invoice = Invoice.objects.get()
    print_invoice(tenant_id=tenant.id, invoice_id=invoice.id)
    with system_scope(purpose="test"):
        Invoice.objects.update(status="paid", paid_minor=invoice.total_minor, paid_at=clock.now())
    return invoice


def removed_by_year(first: int, last: int) -> Mapping[int, int]:
    """What the daily look removes on each first of January, by year."""
    found = {}
    for year in range(first, last + 1):
        counts = remove_files(now=datetime(year, 1, 2, tzinfo=UTC))
        if any(counts.values()):
            found[year] = sum(counts.values())
    return found


@pytest.mark.parametrize(
    ("country", "years"),
    [("DE", 8), ("FR", 10), ("BE", 7), ("PT", 10), ("CH", 10), ("ES", 6), ("CN", 30), ("SE", 10)],
)
def test_through_31_years(tenant: CreatedTenant, country: str, years: int) -> None:
    """The file is there until the end of the last year, and goes on the first day after it."""
    invoice = printed_and_paid(tenant)
    seller_in(country)
    with system_scope(purpose="test"):
        kept = retention_of_invoice(invoice_id=invoice.id)
    assert kept is not None
    assert kept.until == date(ISSUED_IN + years, 12, 31)
    # In every zone: on the first of January it is still the last day somewhere.
    assert remove_files(now=datetime(ISSUED_IN + years + 1, 1, 1, 11, tzinfo=UTC)) == NONE
    assert removed_by_year(ISSUED_IN, ISSUED_IN + 31) == {ISSUED_IN + years + 1: 1}
    with tenant_scope(tenant.id):
        assert not InvoiceFile.objects.exists()
        assert Invoice.objects.get().number == invoice.number
        gone = RemovedFile.objects.get()
    assert (gone.name, gone.retained_until) == (f"{invoice.number}.pdf", kept.until)
    with pytest.raises(Conflict) as refused:
        print_invoice(tenant_id=tenant.id, invoice_id=invoice.id)
    assert refused.value.code == "file_removed"


def test_for_ever_is_for_ever() -> None:
    assert retained_until(issued_on=date(2026, 3, 1), years=None) is None


def test_a_seller_that_moved_leaves_its_documents_where_they_were(tenant: CreatedTenant) -> None:
    seller_in("CN")
    printed_and_paid(tenant)
    seller_in("ES")
    assert removed_by_year(2033, 2056) == {}
    assert removed_by_year(2057, 2057) == {2057: 1}


def test_a_legal_hold_keeps_what_is_over(tenant: CreatedTenant) -> None:
    invoice = printed_and_paid(tenant)
    seller_in("DE")
    now = datetime(2034, 6, 1, tzinfo=UTC)
    with system_scope(purpose="test"):
        hold_id = set_legal_hold(tenant_id=tenant.id, reason="case 7", now=now, actor="user:1")
        kept = retention_of_invoice(invoice_id=invoice.id)
    assert kept is not None
    assert kept.is_held
    assert removed_by_year(2035, 2040) == {}
    with system_scope(purpose="test"), pytest.raises(Invalid):
        lift_legal_hold(hold_id=hold_id, reason=" ", now=now, actor="user:2")
    with system_scope(purpose="test"):
        lift_legal_hold(hold_id=hold_id, reason="closed", now=now, actor="user:2")
    with system_scope(purpose="test"), pytest.raises(Conflict):
        lift_legal_hold(hold_id=hold_id, reason="again", now=now, actor="user:2")
    assert removed_by_year(2041, 2041) == {2041: 1}
    with system_scope(purpose="test"):
        told = AuditRecord.objects.filter(target=f"legal_hold:{hold_id}").order_by("sequence")
        assert [(each.actor, each.action, each.reason) for each in told] == [
            ("user:1", "legal_hold.set", "case 7"),
            ("user:2", "legal_hold.lifted", "closed"),
        ]


def test_what_is_owed_is_kept(tenant: CreatedTenant) -> None:
    printed_and_paid(tenant)
    # Another one, which nobody paid.
    with system_scope(purpose="test"):
        run_id = create_run(
            at=datetime(2026, 4, 2, tzinfo=UTC),
            finalize=True,
            tenant_key="",
            requested_by="test",
            now=clock.now(),
        )
    execute_run(run_id=run_id, clock=clock.now)
    with tenant_scope(tenant.id):
        owed = Invoice.objects.get(status="open")
    print_invoice(tenant_id=tenant.id, invoice_id=owed.id)
    seller_in("ES")
    assert removed_by_year(2033, 2040) == {2033: 1}
    with tenant_scope(tenant.id):
        assert InvoiceFile.objects.get().invoice_id == owed.id


def test_statements_are_books(tenant: CreatedTenant) -> None:
    """Germany keeps books two years longer than vouchers."""
    printed_and_paid(tenant)
    seller_in("DE")
    now = datetime(2026, 5, 1, tzinfo=UTC)
    with tenant_scope(tenant.id):
        statement_id = request_statement(
            tenant_id=tenant.id,
            currency="CNY",
            starts_on=date(2026, 1, 1),
            ends_on=date(2026, 2, 1),
            now=now,
            actor="test",
        )
    make_statement(statement_id=statement_id, now=now)
    assert removed_by_year(2027, 2040) == {2035: 1, 2037: 10}
    with tenant_scope(tenant.id):
        assert not StatementFile.objects.exists()
        assert not StatementFilePart.objects.exists()
        row = statement_of(statement_id=statement_id)
    assert row.figures is not None
    assert row.files == []


@pytest.mark.parametrize(
    ("country", "years", "code"),
    [
        ("DE", 7, "retention_lowered"),
        ("SE", 9, "retention_lowered"),
        ("DE", 201, "retention_too_long"),
    ],
)
def test_rules_only_get_longer(db: None, country: str, years: int, code: str) -> None:
    with system_scope(purpose="test"), pytest.raises(DomainError) as refused:
        raise_retention(
            country=country, kind=RecordKind.VOUCHER, years=years, basis="law", now=clock.now(),
            actor="test",
        )  # fmt: skip
    assert refused.value.code == code


@pytest.fixture
def rules_put_back(db: None) -> Iterator[None]:
    """Set-up fills the rules, so what a test made longer is put back past the guards."""
    yield
    with transaction.atomic(using=OWNER), connections[OWNER].cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("DELETE FROM billing_retentionrule WHERE country = 'SE'")
        cursor.execute("UPDATE billing_retentionrule SET years = 10 WHERE country = ''")


@pytest.mark.usefixtures("rules_put_back")
def test_a_longer_rule_counts_from_now_on(tenant: CreatedTenant) -> None:
    printed_and_paid(tenant)
    seller_in("SE")
    with system_scope(purpose="test"):
        for country, years in (("", 11), ("SE", 12)):
            raise_retention(
                country=country, kind=RecordKind.VOUCHER, years=years, basis="Bokföringslagen",
                now=clock.now(), actor="test",
            )  # fmt: skip
    assert removed_by_year(2036, 2045) == {2039: 1}


def test_the_database_lets_nothing_go_before(tenant: CreatedTenant) -> None:
    invoice = printed_and_paid(tenant)
    seller_in("DE")
    with system_scope(purpose="test"):
        set_legal_hold(tenant_id=tenant.id, reason="case 7", now=clock.now(), actor="test")
        file = InvoiceFile.objects.get()
    noted = (
        "INSERT INTO billing_removedfile (id, tenant_id, kind, file, document, name, sha256,"
        " issued_on, country, years, retained_until, removed_at) VALUES (gen_random_uuid(),"
        f" '{tenant.id}', 'invoice', '{file.id}', '{invoice.id}', 'x', '\\x00', '2026-03-01', 'DE',"
    )
    for statement in (
        "DELETE FROM billing_invoicefile",
        "UPDATE billing_invoicefile SET content = ''",
        # Too early; by a rule that is too short; under the hold.
        f"{noted} 8, '2034-12-31', '2034-06-01')",
        f"{noted} 1, '2027-12-31', '2035-01-02')",
        f"{noted} 8, '2034-12-31', '2035-01-02')",
        "UPDATE billing_retentionrule SET years = years - 1 WHERE country = 'DE'",
        "UPDATE billing_retentionrule SET years = 5 WHERE country = 'CN' AND kind = 'annual_report'",
        "DELETE FROM billing_retentionrule",
        "UPDATE billing_legalhold SET reason = 'none'",
        "DELETE FROM billing_legalhold",
    ):
        with (
            pytest.raises(DatabaseError),
            transaction.atomic(using=JOBS),
            connections[JOBS].cursor() as db,
        ):
            db.execute(statement)
    with system_scope(purpose="test"):
        assert LegalHold.objects.count() == 1
        assert RetentionRule.objects.filter(country="CN", kind="annual_report", years=None).exists()
