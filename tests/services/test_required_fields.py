"""What an invoice of a seller in the Union lacks parks its tenant alone, until it is mended."""

import io
import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from django.test.utils import CaptureQueriesContext
from pypdf import PdfReader

from billing.einvoices.services.export_ubl import export_invoice
from billing.exchange.models import ExchangeRate
from billing.exchange.services.store_rates import store_rates
from billing.invoicing.crediting import LineCredit
from billing.invoicing.domain import InvoiceStatus
from billing.invoicing.models import BillingRun, CreditNote, Invoice
from billing.invoicing.services.credit_invoice import credit_invoice
from billing.invoicing.services.describe_seller import describe_seller
from billing.invoicing.services.issue_charges import carry_out_issue
from billing.invoicing.services.print_invoice import print_invoice
from billing.invoicing.services.request_top_up import request_top_up
from billing.invoicing.services.run_billing import create_run, execute_run
from billing.parties.services.set_billing_profile import set_billing_profile
from billing.subscriptions.models import Subscription
from kernel import clock
from kernel.errors import Conflict
from kernel.money import Money
from tenants.domain import TaxTreatment
from tenants.models import AuditRecord
from tenants.scope import system_scope, tenant_scope
from tenants.services.create_tenant import CreatedTenant
from tenants.services.set_tax import TaxStanding, set_tax
from tests.factories import STANDARD, a_plan, a_subscription, a_tenant, some_usage
from work.connections import JOBS

pytestmark = pytest.mark.usefixtures("db")

SELLER = {
    "name": "Messaging GmbH",
    "street": "Am Platz 1",
    "postal_code": "10117",
    "city": "Berlin",
    "country": "DE",
    "tax_id": "DE136695976",
    "iban": "DE89 3704 0044 0532 0130 00",
    "bic": "COBADEFFXXX",
}
FRENCH = TaxStanding(country="FR", tax_id="FR40303265045", treatment=TaxTreatment.REVERSE_CHARGE)
IN_EUR = {**STANDARD, "currency": "EUR"}


def a_seller(**changes: str) -> None:
    with system_scope(purpose="test"):
        describe_seller(changes={**SELLER, **changes}, now=clock.now(), actor="test")


def a_buyer(
    key: str, *, plan: dict[str, Any] = IN_EUR, standing: TaxStanding = FRENCH
) -> CreatedTenant:
    a_plan(plan)
    tenant = a_tenant(key, apps=(f"{key}-chat",))
    a_subscription(tenant, plan=plan["key"])
    with system_scope(purpose="test"):
        set_tax(tenant_key=key, standing=standing, now=clock.now(), actor="test")
    return tenant


def an_address(tenant: CreatedTenant, **changes: str) -> None:
    told = {"street": "1 Rue de la Paix", "postal_code": "75002", "city": "Paris", **changes}
    with tenant_scope(tenant.id):
        set_billing_profile(
            tenant_id=tenant.id, changes=told, by_staff=True, now=clock.now(), actor="test"
        )


def bill(at: str = "2026-03-01T00:00:00+08:00", *, finalize: bool = True) -> BillingRun:
    with system_scope(purpose="test"):
        run_id = create_run(
            at=datetime.fromisoformat(at), finalize=finalize, requested_by="test", now=clock.now()
        )
    execute_run(run_id=run_id, clock=clock.now)
    with system_scope(purpose="test"):
        return BillingRun.objects.get(id=run_id)


def invoices(tenant: CreatedTenant, **wanted: Any) -> list[Invoice]:
    with tenant_scope(tenant.id):
        return list(Invoice.objects.filter(**wanted).order_by("boundary_at"))


def test_one_that_lacks_a_field_is_parked_and_the_others_go_on() -> None:
    a_seller()
    lacking, complete = a_buyer("lacking"), a_buyer("complete")
    an_address(complete)
    run = bill()
    assert (run.finalized, [each["tenant"] for each in run.parked]) == (1, ["lacking"])
    (told,) = run.parked
    assert told["code"] == "invoice_fields_missing"
    assert "buyer.address (in the tenant's billing details)" in told["detail"]
    assert [each.status for each in invoices(lacking)] == [InvoiceStatus.DRAFT]
    (issued,) = invoices(complete)
    assert issued.issuer is not None
    assert (issued.issuer["street"], issued.issuer["iban"]) == ("Am Platz 1", SELLER["iban"])
    assert issued.buyer["address"] == "1 Rue de la Paix\n75002 Paris"
    assert issued.national_tax is None

    # Nothing changes until the field is there; then the draft is issued and billing goes on.
    assert [each["code"] for each in bill().parked] == ["invoice_fields_missing"]
    an_address(lacking)
    run = bill()
    assert (run.finalized, run.parked) == (1, [])
    assert [each.number for each in invoices(lacking)] == ["INV-2026-000002"]
    with tenant_scope(lacking.id):
        assert Subscription.objects.get().parked_code == ""
        assert AuditRecord.objects.filter(action="subscription.unparked").count() == 1
    an_address(lacking, street="Elsewhere 5")
    assert invoices(lacking)[0].buyer["street"] == "1 Rue de la Paix"


def test_a_draft_that_lived_through_its_grace_is_held_back_too() -> None:
    a_seller()
    tenant = a_buyer("acme")
    an_address(tenant)
    bill()
    some_usage(tenant, {date(2026, 3, 5): 25})
    with tenant_scope(tenant.id):
        set_billing_profile(
            tenant_id=tenant.id,
            changes={"street": "", "city": "", "postal_code": ""},
            by_staff=False,
            now=clock.now(),
            actor="test",
        )
    assert bill("2026-04-01T00:00:00+08:00", finalize=False).drafted == 1
    call_command("close_days", "--until", "2026-04-02", "--force", stdout=io.StringIO())
    run = bill("2026-04-03T00:00:00+08:00")
    assert (run.finalized, [each["code"] for each in run.parked]) == (0, ["invoice_fields_missing"])
    an_address(tenant)
    run = bill("2026-04-03T00:00:00+08:00")
    assert (run.finalized, run.parked) == (1, [])


def test_the_check_asks_nothing_more_for_more_tenants() -> None:
    a_seller()
    counts = []
    for round_of, many in ((3, 1), (4, 5)):
        for place in range(many):
            an_address(a_buyer(f"t{round_of}-{place}"))
        with CaptureQueriesContext(connections[JOBS]) as captured:
            bill()
        counts.append(
            sum(
                "billing_billingprofile" in each["sql"] or "billing_exchangerate" in each["sql"]
                for each in captured.captured_queries
            )
        )
    assert counts[0] == counts[1]


def test_tax_in_another_currency_waits_for_a_rate_and_keeps_it(tmp_path: Path) -> None:
    a_seller()
    plan = {**STANDARD, "tax_percent": "19"}
    tenant = a_buyer("acme", plan=plan, standing=TaxStanding(country="DE"))
    an_address(tenant)
    run = bill()
    assert "exchange_rate (in the exchange rates)" in run.parked[0]["detail"]
    file = tmp_path / "rates.csv"
    file.write_text("on,base,quote,rate,source\n2026-02-27,EUR,CNY,7.8,ECB\n", encoding="utf-8")
    assert load(file) == {"created": 1, "changed": 0, "unchanged": 0}
    assert load(file) == {"created": 0, "changed": 0, "unchanged": 1}
    assert bill().finalized == 1
    (issued,) = invoices(tenant)
    # 37.81 of tax on 199.00, at 7.8.
    assert issued.national_tax == {
        "currency": "EUR", "tax": "4.85", "base": "EUR", "quote": "CNY", "rate": "7.8",
        "on": "2026-02-27", "source": "ECB",
    }  # fmt: skip
    # A note takes the tax back by the invoice's rate, whatever is published meanwhile.
    file.write_text("on,base,quote,rate,source\n2026-02-27,EUR,CNY,9,ECB\n", encoding="utf-8")
    assert load(file)["changed"] == 1
    with system_scope(purpose="test"):
        credit_invoice(
            invoice_id=issued.id,
            lines=[LineCredit(position=1, amount=Money(19900, "CNY"))],
            reason="test",
            now=datetime.fromisoformat("2026-03-02T00:00:00+08:00"),
            actor="test",
        )
        note = CreditNote.objects.get()
        assert note.national_tax == issued.national_tax
        assert note.issuer == issued.issuer


def test_a_credit_note_that_lacks_a_field_is_refused() -> None:
    a_seller()
    tenant = a_buyer("acme")
    an_address(tenant)
    bill()
    (issued,) = invoices(tenant)
    an_address(tenant, street="", city="", postal_code="")
    with pytest.raises(Conflict) as refused, system_scope(purpose="test"):
        credit_invoice(
            invoice_id=issued.id,
            lines=[LineCredit(position=1, amount=Money(100, "EUR"))],
            reason="test",
            now=clock.now(),
            actor="test",
        )
    assert refused.value.code == "invoice_fields_missing"


def test_the_paper_says_it_too() -> None:
    """Representative, account, the buyer's own references, and tax in the national currency."""
    a_seller(
        representative_name="Steuer AG",
        representative_street="Gasse 2",
        representative_city="Wien",
        representative_country="AT",
        representative_tax_id="ATU13585627",
    )
    plan = {**STANDARD, "tax_percent": "19"}
    tenant = a_buyer("acme", plan=plan, standing=TaxStanding(country="DE"))
    an_address(tenant, order_number="PO 4711", reference="Desk 7", registration_id="HRB 99")
    with system_scope(purpose="test"):
        store_rates(
            rows=[
                {
                    "on": "2026-02-27",
                    "base": "EUR",
                    "quote": "CNY",
                    "rate": "7.8",
                    "source": "ECB",
                }
            ],
            now=clock.now(),
            actor="test",
        )
    bill()
    (issued,) = invoices(tenant)
    printed = print_invoice(tenant_id=tenant.id, invoice_id=issued.id, language="en")
    pages = PdfReader(io.BytesIO(printed.content)).pages
    text = " ".join(" ".join(page.extract_text() for page in pages).split())
    for said in (
        "Steuer AG, Gasse 2, Wien, Austria, tax ID ATU13585627",
        "DE89 3704 0044 0532 0130 00",
        "COBADEFFXXX",
        "PO 4711",
        "Desk 7",
        "HRB 99",
        "Am Platz 1 10117 Berlin",
        "4.85",
        "1 EUR = 7.8 CNY, ECB",
    ):
        assert said in text, said


def test_a_reverse_charge_is_printed_in_the_laws_words() -> None:
    a_seller()
    tenant = a_buyer("acme")
    an_address(tenant)
    bill()
    (issued,) = invoices(tenant)
    for language in ("en", "zh-hans"):
        printed = print_invoice(tenant_id=tenant.id, invoice_id=issued.id, language=language)
        pages = PdfReader(io.BytesIO(printed.content)).pages
        assert "Reverse charge" in " ".join(page.extract_text() for page in pages)


def test_prepaid_money_needs_no_tax() -> None:
    """Article 30b: it bears none before it is used."""
    a_seller()
    tenant = a_buyer("acme", standing=TaxStanding(country="DE"))
    an_address(tenant)
    with tenant_scope(tenant.id):
        charge_id = request_top_up(
            tenant_id=tenant.id,
            amount=Money.of("100", "EUR"),
            reference="PO 1",
            now=clock.now(),
            actor="test",
        )
    invoice_id = carry_out_issue(tenant_id=tenant.id, charge_id=charge_id, now=clock.now())
    (issued,) = invoices(tenant, id=str(invoice_id))
    assert issued.number is not None
    with tenant_scope(tenant.id):
        export_invoice(invoice_id=issued.id, tenant_id=tenant.id)


def test_sellers_elsewhere_are_asked_for_nothing() -> None:
    a_plan()
    tenant = a_tenant()
    a_subscription(tenant)
    a_seller(country="CN", tax_id="91350100M000100Y43", street="", city="", postal_code="")
    assert bill().finalized == 1


def test_wrong_rates_are_refused_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "rates.csv"
    file.write_text(
        "on,base,quote,rate,source\n2026-02-27,EUR,CNY,7.8,ECB\n2026-02-31,EUR,EUR,-1,\n",
        encoding="utf-8",
    )
    told = load(file, failed=True)
    assert [each["code"] for each in told["faults"]] == [
        "not_a_date", "same_currency", "not_positive", "missing",
    ]  # fmt: skip
    with system_scope(purpose="test"):
        assert not ExchangeRate.objects.exists()


def load(file: Path, *, failed: bool = False) -> dict[str, Any]:
    out = io.StringIO()
    try:
        call_command("load_exchange_rates", str(file), "--json", stdout=out)
    except SystemExit:
        assert failed
    found: dict[str, Any] = json.loads(out.getvalue())
    return found
