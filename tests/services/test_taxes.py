"""Rates of tax in the database: loaded once, never changed, never two on a day; documents by them."""

import io
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, IntegrityError, connections
from django.test.utils import CaptureQueriesContext
from pypdf import PdfReader

from billing.catalog.examples import tax_rates
from billing.invoicing.contracts import load_contracts
from billing.invoicing.models import Invoice, InvoiceLine
from billing.invoicing.services.describe_seller import describe_seller
from billing.invoicing.services.print_invoice import print_invoice
from billing.invoicing.services.run_billing import create_run, execute_run
from billing.ledger.queries import account_balances
from billing.subscriptions.models import Subscription
from billing.taxes.domain.rate_file import TaxFaults
from billing.taxes.models import TaxRate
from billing.taxes.services import LoadedRates, load_taxes
from kernel import clock
from kernel.errors import Invalid, NotFound
from kernel.money import Money
from tenants.domain import TaxTreatment
from tenants.models import AuditRecord, Tenant
from tenants.scope import system_scope
from tenants.services.set_tax import TaxStanding, set_tax
from tests.factories import a_plan, a_subscription, a_tenant
from work.connections import JOBS, OWNER

pytestmark = pytest.mark.usefixtures("db")

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ROW: dict[str, Any] = {
    "jurisdiction": "CN",
    "category": "it",
    "percent": "6",
    "valid_from": "2016-05-01",
}


OVERLAPPING = """
INSERT INTO billing_taxrate SELECT gen_random_uuid(), jurisdiction, category, supply, code, percent,
       '2020-01-01', NULL, text, created_at FROM billing_taxrate WHERE valid_to IS NULL
"""


def load(document: Any) -> LoadedRates:
    with system_scope(purpose="test"):
        return load_taxes(document=document, now=NOW, actor="test")


def counted(loaded: LoadedRates) -> tuple[int, int, int]:
    return loaded.created, loaded.ended, loaded.unchanged


class TestLoading:
    def test_twice_is_once(self) -> None:
        first, again = load(tax_rates()), load(tax_rates())
        assert counted(first)[0] > 50
        assert counted(again) == (0, 0, first.created)
        with system_scope(purpose="test"):
            assert TaxRate.objects.count() == first.created
            assert AuditRecord.objects.filter(action="tax_rates.loaded").count() == 1

    def test_an_open_rate_gets_its_end_and_a_follower(self) -> None:
        load([ROW])
        following = {**ROW, "percent": "9", "valid_from": "2026-01-01"}
        assert counted(load([{**ROW, "valid_to": "2026-01-01"}, following])) == (1, 1, 0)

    @pytest.mark.parametrize(
        ("rows", "code"),
        [
            ([{**ROW, "percent": "9"}], "rate_differs"),
            ([{**ROW, "text": "other"}], "rate_differs"),
            ([{**ROW, "percent": "9", "valid_from": "2026-01-01"}], "rates_overlap"),
        ],
    )
    def test_a_stored_rate_is_never_changed(self, rows: list[dict[str, Any]], code: str) -> None:
        load([ROW])
        with pytest.raises(TaxFaults) as refused:
            load(rows)
        assert [fault.code for fault in refused.value.faults] == [code]
        with system_scope(purpose="test"):
            assert [str(rate.percent.normalize()) for rate in TaxRate.objects.all()] == ["6"]

    def test_the_command_tells_every_fault(self, tmp_path: Path) -> None:
        file = tmp_path / "taxes.json"
        file.write_text(json.dumps([{**ROW, "percent": "x"}, {**ROW, "rate": 1}]))
        out = io.StringIO()
        with pytest.raises(SystemExit) as left:
            call_command("load_taxes", str(file), "--json", stdout=out)
        assert left.value.code == 1
        told = json.loads(out.getvalue())
        assert [fault["path"] for fault in told["faults"]] == [
            "rates[0].percent",
            "rates[1].rate",
            "rates[1].valid_from",
        ]

    def test_the_command_loads(self, tmp_path: Path) -> None:
        file = tmp_path / "taxes.json"
        file.write_text(json.dumps({"rates": [ROW]}))
        out = io.StringIO()
        call_command("load_taxes", str(file), "--json", stdout=out)
        assert json.loads(out.getvalue()) == {"created": 1, "ended": 0, "unchanged": 0}


class TestTheDatabaseRefuses:
    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE billing_taxrate SET percent = 9",
            "UPDATE billing_taxrate SET valid_to = '2030-01-01' WHERE valid_to IS NOT NULL",
            "DELETE FROM billing_taxrate",
            "TRUNCATE billing_taxrate",
            OVERLAPPING,
        ],
    )
    def test_changing_a_rate_and_two_on_a_day(self, statement: str) -> None:
        load(
            [
                {**ROW, "valid_to": "2026-01-01"},
                {**ROW, "percent": "9", "valid_from": "2026-01-01"},
            ]
        )
        with pytest.raises(DatabaseError), connections[OWNER].cursor() as cursor:
            cursor.execute(statement)
        with system_scope(purpose="test"):
            assert TaxRate.objects.count() == 2

    @pytest.mark.parametrize(
        ("table", "change"),
        [
            ("billing_invoice", "tax_minor = tax_minor + 1, total_minor = total_minor + 1"),
            ("billing_invoice", "discount_minor = 1, total_minor = total_minor - 1"),
            ("billing_invoiceline", "tax_minor = tax_minor + 1"),
            ("billing_invoiceline", "discount_minor = 1"),
            ("billing_invoiceline", "tax_percent = 7"),
            ("billing_invoiceline", "tax_code = 'zero', tax_percent = 0, tax_minor = 0"),
        ],
    )
    def test_what_is_issued_is_frozen(self, table: str, change: str) -> None:
        issue()
        with pytest.raises(IntegrityError), connections[OWNER].cursor() as cursor:
            cursor.execute(f"UPDATE {table} SET {change}")

    def test_a_draft_whose_total_does_not_add_up(self) -> None:
        issue(finalize=False)
        with pytest.raises(IntegrityError), connections[OWNER].cursor() as cursor:
            cursor.execute("UPDATE billing_invoice SET tax_minor = tax_minor + 1")


def issue(*, finalize: bool = True, **standing: Any) -> None:
    """The first document of a plan of 199.00 and usage, for a tenant of these taxes."""
    a_plan()
    a_subscription(a_tenant())
    load([ROW, *tax_rates()["rates"]])
    with system_scope(purpose="test"):
        describe_seller(
            changes={"country": "CN", "tax_category": "software_service"}, now=NOW, actor="test"
        )
        key = Tenant.objects.get().key
        set_tax(
            tenant_key=key,
            standing=TaxStanding(**{"treatment": TaxTreatment.TAXABLE, **standing}),
            now=NOW,
            actor="test",
        )
    run(finalize=finalize)


def run(*, finalize: bool = True, at: str = "2026-03-01T00:00:00+08:00") -> None:
    with system_scope(purpose="test"):
        run_id = create_run(
            at=datetime.fromisoformat(at), finalize=finalize, requested_by="test", now=clock.now()
        )
    execute_run(run_id=run_id, clock=clock.now)


class TestDocuments:
    def test_the_journal_owes_the_tax(self) -> None:
        issue()
        with system_scope(purpose="test"):
            (invoice,) = Invoice.objects.all()
            balances = account_balances()
        assert (invoice.subtotal_minor, invoice.tax_minor, invoice.total_minor) == (
            19900,
            1194,
            21094,
        )
        assert balances["receivable", "CNY"] == Money(21094, "CNY")
        assert balances["tax_payable", "CNY"] == Money(-1194, "CNY")
        assert balances["deferred_revenue", "CNY"] == Money(-19900, "CNY")
        out = io.StringIO()
        call_command("verify_ledger", "--json", stdout=out)
        assert json.loads(out.getvalue())["ok"] is True

    def test_a_draft_follows_the_tenants_standing_and_an_issued_one_stays(self) -> None:
        issue(finalize=False)
        with system_scope(purpose="test"):
            key = Tenant.objects.get().key
            set_tax(
                tenant_key=key,
                standing=TaxStanding(treatment=TaxTreatment.EXEMPT),
                now=NOW,
                actor="test",
            )
        run()
        with system_scope(purpose="test"):
            (line,) = InvoiceLine.objects.all()
            set_tax(tenant_key=key, standing=TaxStanding(), now=NOW, actor="test")
        assert (line.tax_code, line.tax_minor) == ("exempt", 0)

    def test_the_paper_has_a_table_of_rates_and_the_laws_words(self) -> None:
        issue(country="DE", tax_id="DE129273398")
        with system_scope(purpose="test"):
            invoice = Invoice.objects.get()
        for language, words in (
            ("en", ("Reverse charge", "Article 196 of Directive 2006/112/EC", "Taxable amount")),
            ("zh-hans", ("反向征收", "第 196 条", "计税金额")),
        ):
            printed = print_invoice(
                tenant_id=invoice.tenant_id, invoice_id=invoice.id, language=language
            )
            text = "".join(
                page.extract_text() for page in PdfReader(io.BytesIO(printed.content)).pages
            ).replace("\n", " ")
            for word in words:
                assert word in text, (language, word, text)

    def test_no_query_for_each_tenant(self) -> None:
        """Seller, rates and standings are loaded once a chunk, however many tenants there are."""
        load(tax_rates())
        a_plan()
        counts = []
        for number in range(3):
            a_subscription(a_tenant(key=f"t{number}", apps=(f"chat{number}",)))
            with system_scope(purpose="test"):
                Tenant.objects.update(country="DE", tax_treatment="taxable")
                rows = list(Subscription.objects.select_related("tenant", "plan_version"))
                with CaptureQueriesContext(connections[JOBS]) as captured:
                    assert len(load_contracts(rows)) == number + 1
            counts.append(len(captured))
        assert counts == [5, 5, 5]


class TestSettingTheTax:
    def test_it_is_audited_once(self) -> None:
        a_tenant()
        with system_scope(purpose="test"):
            key = Tenant.objects.get().key
            standing = TaxStanding(country="DE", tax_id="DE1")
            for _ in range(2):
                set_tax(tenant_key=key, standing=standing, now=NOW, actor="test")
            (record,) = AuditRecord.objects.filter(action="tenant.tax_set")
        assert record.after is not None
        assert record.after["country"] == "DE"

    def test_nobody_of_that_key(self) -> None:
        with pytest.raises(NotFound), system_scope(purpose="test"):
            set_tax(tenant_key="nobody", standing=TaxStanding(), now=NOW, actor="test")

    @pytest.mark.parametrize(
        ("standing", "code"),
        [
            ({"country": "de"}, "not_a_country"),
            ({"tax_id": "1" * 65}, "tax_id_too_long"),
            ({"percent": -1}, "negative"),
        ],
    )
    def test_what_can_not_be(self, standing: dict[str, Any], code: str) -> None:
        a_tenant()
        with pytest.raises(Invalid) as refused, system_scope(purpose="test"):
            set_tax(
                tenant_key=Tenant.objects.get().key,
                standing=TaxStanding(**standing),
                now=NOW,
                actor="test",
            )
        assert refused.value.code == code

    def test_by_command(self) -> None:
        a_tenant()
        with system_scope(purpose="test"):
            key = Tenant.objects.get().key
        out = io.StringIO()
        call_command(
            "set_tenant_tax", "--tenant", key, "--country", "FR", "--percent", "20", "--json",
            stdout=out,
        )  # fmt: skip
        call_command(
            "set_tenant_tax", "--tenant", key, "--percent", "", "--treatment", "exempt",
            "--json", stdout=io.StringIO(),
        )  # fmt: skip
        assert json.loads(out.getvalue())["percent"] == "20"
        with system_scope(purpose="test"):
            row = Tenant.objects.get()
        assert (row.country, row.tax_percent, row.tax_treatment) == ("FR", None, "exempt")


def test_the_days_of_a_rate_are_half_open() -> None:
    load([{**ROW, "valid_to": "2026-01-01"}])
    with system_scope(purpose="test"):
        assert TaxRate.objects.get().valid_to == date(2026, 1, 1)
