"""Pro-formas: papers that tell beforehand, kept as they were made, and posted nowhere."""

import hashlib
import io
from datetime import date, timedelta
from uuid import UUID

import pytest
from django.db import IntegrityError
from django.test import Client
from pypdf import PdfReader

from billing.invoicing.models import Charge, Invoice, NumberSeries, Proforma
from billing.invoicing.proformas import proforma_file, proforma_rows
from billing.invoicing.services.issue_charges import issue_charge
from billing.invoicing.services.make_proforma import make_proforma
from billing.invoicing.services.print_invoice import print_invoice
from billing.invoicing.services.print_proforma import print_proforma
from billing.ledger.models import JournalTransaction
from billing.subscriptions.models import Subscription
from kernel import clock
from kernel.errors import Conflict, DomainError, NotFound
from kernel.ids import new_id
from tenants.domain import Role, StaffRole
from tenants.models import Member, Tenant, User
from tenants.scope import system_scope, tenant_scope
from tests.factories import NOW, a_plan, a_subscription, a_tenant
from tests.services.charge_world import a_charge
from work.connections import cursor
from work.jobs import run_pending

pytestmark = pytest.mark.usefixtures("db")

UNTIL = date(2026, 3, 31)


def of_charge(tenant_id: UUID, charge_id: UUID, **options: object) -> UUID:
    with tenant_scope(tenant_id):
        return make_proforma(
            tenant_id=tenant_id,
            charge_id=charge_id,
            valid_until=UNTIL,
            now=NOW,
            actor="test",
            **options,  # type: ignore[arg-type]  # of the test
        )


def printing() -> None:
    """Let the jobs that print do what they can."""
    run_pending(now=clock.now(), kinds=["billing.print_proforma"])


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def member(tenant_id: UUID, role: Role) -> Client:
    with system_scope(purpose="test"):
        user = User.objects.create_user(f"{role}@{tenant_id}.test", "x")
        Member.objects.create(tenant_id=tenant_id, user=user, role=role)
    return signed_in(user)


def test_it_tells_the_draft_and_posts_nothing() -> None:
    tenant = a_tenant()
    with system_scope(purpose="test"):
        Tenant.objects.filter(id=tenant.id).update(language="zh-hans")
    charge_id = a_charge(tenant.id)
    proforma_id = of_charge(tenant.id, charge_id)
    with tenant_scope(tenant.id):
        assert proforma_rows(tenant_id=tenant.id, limit=5).is_being_made
        with pytest.raises(Conflict) as refused:
            proforma_file(proforma_id=proforma_id, tenant_id=tenant.id)
    assert refused.value.code == "proforma_being_made"
    printing()
    with tenant_scope(tenant.id):
        (row,) = proforma_rows(tenant_id=tenant.id, limit=5).rows
        paper = proforma_file(proforma_id=proforma_id, tenant_id=tenant.id)
    assert row.reference.startswith("PF-20260301-")
    assert (str(row.total), row.language, row.valid_until) == ("1000.01 CNY", "zh-hans", UNTIL)
    assert paper.content.startswith(b"%PDF")
    assert hashlib.sha256(paper.content).hexdigest() == paper.sha256 == row.sha256
    with system_scope(purpose="test"):
        assert not JournalTransaction.objects.exists()
        assert not NumberSeries.objects.exists()
        assert not Invoice.objects.exists()


def test_the_paper_says_what_was_told_whatever_changed_before_it_was_printed() -> None:
    tenant = a_tenant()
    charge_id = a_charge(tenant.id)
    proforma_id = of_charge(tenant.id, charge_id)
    with system_scope(purpose="test"):
        Tenant.objects.filter(id=tenant.id).update(name="Another Name")
        Charge.objects.filter(id=charge_id).update(lines=[{"description": "x", "amount": "1"}])
    printing()
    with tenant_scope(tenant.id):
        content = proforma_file(proforma_id=proforma_id, tenant_id=tenant.id).content
    said = PdfReader(io.BytesIO(content)).pages[0].extract_text()
    assert "1,000.01" in said
    assert "Another Name" not in said


def test_the_invoice_is_issued_after_it_and_printed() -> None:
    tenant = a_tenant()
    charge_id = a_charge(tenant.id)
    of_charge(tenant.id, charge_id)
    with system_scope(purpose="test"):
        invoice_id = issue_charge(tenant_id=tenant.id, charge_id=charge_id, now=NOW, actor="test")
        assert invoice_id is not None
    assert print_invoice(tenant_id=tenant.id, invoice_id=invoice_id).content.startswith(b"%PDF")
    with pytest.raises(Conflict) as refused:
        of_charge(tenant.id, charge_id)
    assert refused.value.code == "charge_concluded"


def test_of_the_next_invoice_of_a_plan() -> None:
    a_plan()
    tenant = a_tenant()
    a_subscription(tenant)
    with tenant_scope(tenant.id):
        proforma_id = make_proforma(
            tenant_id=tenant.id,
            subscription_id=Subscription.objects.get().id,
            valid_until=UNTIL,
            language="en",
            now=NOW,
            actor="test",
        )
        assert Proforma.objects.get(id=proforma_id).total_minor == 19900
    with pytest.raises(Conflict) as refused, tenant_scope(tenant.id):
        make_proforma(
            tenant_id=tenant.id, subscription_id=new_id(), valid_until=UNTIL, now=NOW, actor="x"
        )
    assert refused.value.code == "nothing_to_tell"


def test_the_same_form_makes_one_and_it_never_changes() -> None:
    tenant = a_tenant()
    charge_id, wanted = a_charge(tenant.id), new_id()
    first = of_charge(tenant.id, charge_id, proforma_id=wanted)
    assert of_charge(tenant.id, charge_id, proforma_id=wanted) == first == wanted
    printing()
    with tenant_scope(tenant.id):
        paper = proforma_file(proforma_id=first, tenant_id=tenant.id)
    print_proforma(tenant_id=tenant.id, proforma_id=first)
    with tenant_scope(tenant.id):
        assert proforma_file(proforma_id=first, tenant_id=tenant.id).sha256 == paper.sha256
    for statement in (
        "UPDATE billing_proforma SET total_minor = 1",
        "UPDATE billing_proforma SET content = ''",
        "UPDATE billing_proforma SET paper = '{}'",
        "DELETE FROM billing_proforma",
    ):
        with (
            pytest.raises((IntegrityError, Exception), match=r"never changed|permission denied"),
            system_scope(purpose="test"),
            cursor() as db,
        ):
            db.execute(statement)


def test_days_beyond_a_year_and_foreign_charges_are_refused() -> None:
    mine, theirs = a_tenant("mine"), a_tenant("theirs", apps=())
    charge_id = a_charge(theirs.id)
    for until in (NOW.date() - timedelta(days=1), NOW.date() + timedelta(days=367)):
        with pytest.raises(DomainError) as refused, tenant_scope(theirs.id):
            make_proforma(
                tenant_id=theirs.id, charge_id=charge_id, valid_until=until, now=NOW, actor="x"
            )
        assert refused.value.code == "valid_until"
    with pytest.raises(NotFound):
        of_charge(mine.id, charge_id)
    proforma_id = of_charge(theirs.id, charge_id)
    with pytest.raises(NotFound), tenant_scope(mine.id):
        proforma_file(proforma_id=proforma_id, tenant_id=mine.id)


def test_in_the_portal() -> None:
    a_plan()
    tenant = a_tenant()
    a_subscription(tenant)
    client = member(tenant.id, Role.BILLING)
    page = client.get("/portal/acme/pro-formas/")
    with tenant_scope(tenant.id):
        subscription_id = str(Subscription.objects.get().id)
    sent = {"subscription": subscription_id, "token": page.context["token"]}
    for _ in range(2):
        assert client.post("/portal/acme/pro-formas/new", sent).status_code == 302
    with tenant_scope(tenant.id):
        proforma = Proforma.objects.get()
    place = "/portal/acme/pro-formas/"
    waiting = client.get(place).content.decode()
    assert f"{proforma.reference} is being made" in waiting
    assert 'hx-trigger="every 2s"' in waiting
    assert client.get(f"{place}{proforma.id}/pdf").status_code == 409
    printing()
    there = client.get(place).content.decode()
    assert f"{place}{proforma.id}/pdf" in there
    assert 'hx-trigger="every 2s"' not in there
    answer = client.get(f"/portal/acme/pro-formas/{proforma.id}/pdf")
    assert answer["Content-Type"] == "application/pdf"
    viewer = member(tenant.id, Role.VIEWER)
    assert viewer.get("/portal/acme/pro-formas/").status_code == 200
    assert viewer.post("/portal/acme/pro-formas/new", sent).status_code == 403
    assert client.post("/portal/acme/pro-formas/new", {"subscription": "x"}).status_code == 302
    a_tenant("other", apps=())
    with system_scope(purpose="test"):
        other = Tenant.objects.get(key="other")
    stranger = member(other.id, Role.OWNER)
    assert stranger.get(f"/portal/other/pro-formas/{proforma.id}/pdf").status_code == 404


def test_a_top_up_may_begin_with_one() -> None:
    tenant = a_tenant()
    client = member(tenant.id, Role.OWNER)
    form = "/portal/acme/balance/top-up/"
    sent = {"amount": "100", "currency": "CNY", "token": client.get(form).context["token"]}
    place = client.post(form, {**sent, "do": "proforma"})["Location"]
    shown = client.get(place)
    assert b"hx-get" not in shown.content
    made = client.post(place, {"do": "proforma", "token": shown.context["token"]})
    assert made.status_code == 302
    assert b"PF-" in client.get(place).content
    with tenant_scope(tenant.id):
        assert Proforma.objects.count() == 1
        assert Charge.objects.get().issue_at is None
    assert b"is being made" in client.get(place).content
    printing()
    assert b"hx-get" not in client.get(place).content
    client.post(place, {"do": "issue"})
    assert b"hx-get" in client.get(place).content
    with tenant_scope(tenant.id):
        assert Charge.objects.get().issue_at is not None


def test_in_the_console() -> None:
    a_plan()
    tenant = a_tenant()
    a_subscription(tenant)
    charge_id = a_charge(tenant.id)
    with system_scope(purpose="test"):
        user = User.objects.create_user("f@summit.test", "x", staff_role=StaffRole.FINANCE)
        auditor = User.objects.create_user("a@summit.test", "x", staff_role=StaffRole.AUDITOR)
    client = signed_in(user)
    until = (clock.now().date() + timedelta(days=20)).isoformat()
    page = client.get(f"/console/charges/{charge_id}/")
    sent = {"valid_until": until, "token": page.context["token"]}
    for _ in range(2):
        client.post(f"/console/charges/{charge_id}/pro-forma", sent)
    listed = "/console/tenants/acme/pro-formas/"
    with system_scope(purpose="test"):
        subscription_id = str(Subscription.objects.get().id)
        (proforma,) = Proforma.objects.all()
    shown = client.get(f"/console/charges/{charge_id}/").content.decode()
    assert f"{proforma.reference} is being made" in shown
    printing()
    shown = client.get(f"/console/charges/{charge_id}/").content.decode()
    assert f"/console/pro-formas/{proforma.id}/pdf" in shown
    client.post(
        listed,
        {
            "subscription": subscription_id, "valid_until": until,
            "token": client.get(listed).context["token"],
        },
    )  # fmt: skip
    with system_scope(purpose="test"):
        assert Proforma.objects.count() == 2
    client.post(listed, {"subscription": "x", "valid_until": "y"})
    looking = signed_in(auditor)
    assert looking.get(f"/console/pro-formas/{proforma.id}/pdf").status_code == 200
    looking.post(listed, {"subscription": subscription_id, "valid_until": until})
    assert looking.post(f"/console/charges/{charge_id}/pro-forma", sent).status_code == 403
    with system_scope(purpose="test"):
        assert Proforma.objects.count() == 2
