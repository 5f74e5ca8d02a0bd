"""Two tenants with like data, and a client that speaks with an API key."""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from django.db import connections
from django.test import Client

from billing.catalog.services.offer_plan import offer_plan
from billing.fapiao.domain.content import (
    FapiaoContent,
    FapiaoLine,
    FapiaoProduct,
    FapiaoSeller,
    FapiaoTitle,
)
from billing.fapiao.domain.states import FapiaoColor
from billing.fapiao.models import Fapiao, FapiaoFile
from billing.fapiao.services.set_buyer import set_fapiao_buyer
from billing.invoicing.crediting import LineCredit
from billing.invoicing.domain import InvoiceKind
from billing.invoicing.models import CreditNote, Invoice
from billing.invoicing.services.agree_discount import AgreedDiscount, agree_discount
from billing.invoicing.services.agree_price import AgreedPrice, agree_price
from billing.invoicing.services.ask_of_invoice import request_credit
from billing.invoicing.services.credit_invoice import credit_invoice
from billing.invoicing.services.describe_seller import describe_seller
from billing.invoicing.services.make_proforma import make_proforma
from billing.invoicing.services.print_credit_note import print_credit_note
from billing.invoicing.services.print_proforma import print_proforma
from billing.invoicing.services.request_change import request_change
from billing.invoicing.services.request_top_up import request_top_up
from billing.invoicing.services.run_billing import create_run, execute_run
from billing.invoicing.services.write_charge import AskedCharge, ask_charge
from billing.ledger.domain import BalanceKind
from billing.mailing.domain import MailState
from billing.mailing.models import DocumentMail, MailPreference
from billing.parties.services.set_billing_profile import set_billing_profile
from billing.payments.domain import AttemptState, Gateway
from billing.payments.models import Payment, PaymentAttempt
from billing.payments.services.grant_balance import grant_balance
from billing.payments.services.pay_from_balance import pay_from_balance
from billing.payments.services.record_bank_transfer import record_bank_transfer
from billing.retention.domain import FileKind
from billing.retention.models import RemovedFile
from billing.retention.services.hold_tenant import set_legal_hold
from billing.statements.services.make_statement import make_statement
from billing.statements.services.request_statement import request_statement
from billing.statements.services.set_monthly import set_monthly_statements
from billing.subscriptions.domain import AskedChange, ChangeKind, EffectiveWhen, LateUsagePolicy
from billing.subscriptions.models import (
    Subscription,
    SubscriptionHolding,
    SubscriptionPause,
    SubscriptionPhase,
)
from billing.subscriptions.services.set_late_usage_policy import set_late_usage_policy
from kernel import clock
from kernel.ids import public_id
from kernel.money import Money
from kernel.period import local_day
from metering.models import EventReplay, RejectedEvent
from metering.proof.services.prove_days import prove_closed_days, prove_day
from tenants.domain import KeyScope, Role, StaffRole
from tenants.models import Member, User
from tenants.scope import system_scope, tenant_scope
from tenants.services.api_keys import create_api_key
from tenants.services.create_tenant import CreatedTenant
from tenants.services.people import NewPerson, add_member, create_staff
from tenants.services.set_tax import TaxStanding, set_tax
from tests.factories import a_plan, a_subscription, a_tenant, some_usage
from work.connections import OWNER

API = "/api/v1"
PERIOD_END = "2026-05-02T00:00:00+08:00"


@dataclass(frozen=True, kw_only=True)
class World:
    """A tenant that has something of everything that can be addressed."""

    tenant: CreatedTenant
    keys: dict[KeyScope, str]
    key_id: UUID
    member_id: UUID
    people: dict[Role, User]
    subscription_id: UUID
    change_id: UUID
    invoice_ids: tuple[UUID, ...]
    invoice_numbers: tuple[str, ...]
    payment_id: UUID
    attempt_id: UUID
    fapiao_id: UUID
    credit_note_id: UUID
    mail_id: UUID
    charge_id: UUID
    proforma_id: UUID
    top_up_id: UUID
    statement_id: UUID
    request_id: UUID
    hold_id: UUID

    @property
    def key(self) -> str:
        return self.tenant.key

    @property
    def markers(self) -> frozenset[str]:
        """Texts that an answer may hold only if it tells of this tenant."""
        ids = [
            ("ten", self.tenant.id),
            ("key", self.key_id),
            ("mem", self.member_id),
            ("sub", self.subscription_id),
            ("chg", self.change_id),
            ("pay", self.payment_id),
            ("att", self.attempt_id),
            ("fap", self.fapiao_id),
            ("crn", self.credit_note_id),
            ("mail", self.mail_id),
            ("chr", self.charge_id),
            ("pfa", self.proforma_id),
            ("top", self.top_up_id),
            ("stm", self.statement_id),
            ("req", self.request_id),
            ("hld", self.hold_id),
            *(("app", app.id) for app in self.tenant.apps),
            *(("inv", invoice_id) for invoice_id in self.invoice_ids),
        ]
        return frozenset(
            {
                self.key,
                self.key.title(),
                *(app.key for app in self.tenant.apps),
                *(user.email for user in self.people.values()),
                *self.invoice_numbers,
                *(public_id(prefix, uuid) for prefix, uuid in ids),
                *(str(uuid) for _, uuid in ids),
            }
        )


def two_worlds() -> tuple[World, World]:
    """Tenants `alpha` and `bravo`, billed for two months and with one payment each."""
    a_plan()
    tenants = [a_tenant(key, apps=(f"{key}-chat", f"{key}-push")) for key in ("alpha", "bravo")]
    with system_scope(purpose="test"):
        # An electronic invoice must tell where its parties are.
        describe_seller(
            changes={"country": "CN", "tax_id": "91350100M000100Y43"},
            now=clock.now(),
            actor="test",
        )
        for tenant in tenants:
            set_tax(
                tenant_key=tenant.key,
                standing=TaxStanding(country="CN"),
                now=clock.now(),
                actor="test",
            )
    for tenant in tenants:
        a_subscription(tenant)
        some_usage(tenant, {date(2026, 3, 5): 35, date(2026, 4, 7): 12})
        ingest(tenant)
    _bill(dry=True)
    _bill()
    for tenant in tenants:
        _waive_late_usage(tenant)
    _bill()
    _prove(tenants)
    with system_scope(purpose="test"):
        staff = create_staff(
            person=NewPerson(email="staff@example.com"),
            role=StaffRole.FINANCE,
            now=clock.now(),
            actor="test",
        )
    accountant = User.objects.get(pk=staff.user_id)
    first, second = (_world(tenant, accountant) for tenant in tenants)
    return first, second


def _bill(*, dry: bool = False) -> None:
    with system_scope(purpose="test"):
        run_id = create_run(
            at=datetime.fromisoformat(PERIOD_END),
            finalize=True,
            tenant_key="",
            dry=dry,
            requested_by="test",
            now=clock.now(),
        )
    execute_run(run_id=run_id, clock=clock.now)


def _waive_late_usage(tenant: CreatedTenant) -> None:
    """Usage after the invoice, which changes no amount, and the policy by which it is settled at once."""
    some_usage(tenant, {date(2026, 3, 6): 1})
    with system_scope(purpose="test"):
        set_late_usage_policy(
            subscription_id=Subscription.objects.get(tenant_id=tenant.id).id,
            policy=LateUsagePolicy.WAIVE,
            reason="our gateway was late",
            now=clock.now(),
            actor="test",
        )


def _prove(tenants: list[CreatedTenant]) -> None:
    """Look at all closed days, and sign that of a day on which usage was set without users."""
    prove_closed_days(now=clock.now())
    for tenant in tenants:
        with tenant_scope(tenant.id):
            prove_day(
                tenant_id=tenant.id,
                app_id=tenant.apps[0].id,
                meter="dau",
                day=date(2026, 3, 5),
                now=clock.now(),
            )


def ingest(tenant: CreatedTenant) -> None:
    """One event over the API twice, and one that is refused, so that metering's tables have rows."""
    with system_scope(purpose="test"):
        key = create_api_key(
            tenant_id=tenant.id, scope="ingest", label="", now=clock.now(), actor="test"
        )
    events = [an_event(tenant.apps[0].key), an_event("nobody's")]
    for outcome in ("accepted", "duplicates"):
        answer = call("POST", "/events", key=key.text, body=events)
        assert answer.json()[outcome] == 1, answer.content
    with system_scope(purpose="test"):
        EventReplay.objects.create(
            tenant_id=tenant.id,
            rejected_id=RejectedEvent.objects.filter(tenant_id=tenant.id).values_list("id")[0][0],
            replayed_at=clock.now(),
            replayed_by="test",
        )


def an_event(app: str) -> dict[str, Any]:
    """A usage event of now."""
    return {
        "specversion": "1.0",
        "id": f"event of {app}",
        "source": "tests",
        "type": "message.sent",
        "subject": app,
        "time": clock.now().isoformat(),
        "data": {"user": f"user of {app}"},
    }


def a_key(world: World, scope: KeyScope = KeyScope.FULL, **options: Any) -> str:
    """Another API key of the tenant."""
    with system_scope(purpose="test"):
        return create_api_key(
            tenant_id=world.tenant.id,
            scope=scope,
            label="test",
            now=clock.now(),
            actor="test",
            **options,
        ).text


def call(
    method: str,
    path: str,
    *,
    key: str | None = None,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
    client: Client | None = None,
) -> Any:
    """Call the API; `path` is below /api/v1 and `body` becomes JSON. Gives the test client's answer."""
    sent = dict(headers or {})
    if key is not None:
        sent["Authorization"] = f"Bearer {key}"
    content: dict[str, Any] = {}
    if body is not None:
        data = body if isinstance(body, (bytes, str)) else json.dumps(body)
        content = {"data": data, "content_type": "application/json"}
    return (client or _anybody()).generic(
        method,
        path if path.startswith(("/api", "/webhooks")) else API + path,
        headers=sent,
        **content,
    )


@functools.cache
def _anybody() -> Client:
    # Errors are to be seen as clients see them.
    return Client(raise_request_exception=False)


def rows_of(tenant_id: UUID) -> dict[str, str]:
    """A hash over the tenant's rows in every table that has some, as the owner sees them."""
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            """
            SELECT c.relname, CASE WHEN c.relname = 'tenants_tenant' THEN 'id' ELSE 'tenant_id' END
              FROM pg_class c
             WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
               AND NOT c.relispartition
               AND (c.relname = 'tenants_tenant' OR EXISTS (
                     SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid
                        AND a.attname = 'tenant_id' AND NOT a.attisdropped))
             ORDER BY 1
            """
        )
        statements = [
            f"SELECT '{table}', md5(string_agg(r::text, '|' ORDER BY r::text)) FROM {table} r"
            f" WHERE {column} = %(tenant)s"
            for table, column in cursor.fetchall()
        ]
        cursor.execute(" UNION ALL ".join(statements), {"tenant": str(tenant_id)})
        return {table: digest for table, digest in cursor.fetchall() if digest}


def _world(tenant: CreatedTenant, accountant: User) -> World:
    now = clock.now()
    people: dict[Role, User] = {}
    with system_scope(purpose="test"):
        keys = {
            scope: create_api_key(
                tenant_id=tenant.id, scope=scope, label=f"{scope}", now=now, actor="test"
            ).text
            for scope in KeyScope
        }
        # Nobody speaks with this one: it is there to be addressed.
        spare = create_api_key(
            tenant_id=tenant.id, scope="read", label="spare", now=now, actor="test"
        )
        for role in Role:
            person = add_member(
                tenant_key=tenant.key,
                person=NewPerson(email=f"{role}@{tenant.key}.example"),
                role=role,
                now=now,
                actor="test",
            )
            people[role] = User.objects.get(pk=person.user_id)
    with tenant_scope(tenant.id):
        invoices = list(Invoice.objects.order_by("number"))
    record_bank_transfer(
        user=accountant,
        invoice_id=invoices[0].id,
        amount=Money.of("100.00", "CNY"),
        received_on=now.date(),
        reference=f"transfer of {tenant.key}",
        now=now,
    )
    with system_scope(purpose="test"):
        grant_balance(
            tenant_id=tenant.id,
            kind=BalanceKind.VOUCHER,
            amount=Money.of("1.00", "CNY"),
            expires_at=None,
            reason="test",
            now=now,
            actor="test",
        )
        pay_from_balance(tenant_id=tenant.id, invoice_id=invoices[-1].id, now=now)
        credit_invoice(
            invoice_id=invoices[-1].id,
            lines=[LineCredit(position=1, amount=Money.of("1.00", "CNY"))],
            reason="test",
            now=now,
            actor="test",
        )
        request_id = request_credit(
            invoice_id=invoices[-1].id,
            lines=[LineCredit(position=1, amount=Money.of("1.00", "CNY"))],
            reason="test",
            now=now,
            actor="test",
        )
        subscription = Subscription.objects.get(tenant_id=tenant.id)
        SubscriptionPhase.objects.create(
            tenant_id=tenant.id,
            subscription=subscription,
            starts_on=subscription.starts_on,
            plan_version_id=subscription.plan_version_id,
            changed_at=now,
        )
        offer_plan(tenant_id=tenant.id, plan_key="standard", now=now, actor="test")
        assert subscription.next_boundary_at is not None
        agree_price(
            tenant_id=tenant.id,
            agreed=AgreedPrice(
                price_key="base",
                starts_on=local_day(subscription.next_boundary_at, ZoneInfo(tenant.timezone)),
                document={"model": "flat", "amount": "149"},
                clause=f"As agreed with {tenant.key}.",
                reference=f"contract of {tenant.key}",
            ),
            now=subscription.next_boundary_at - timedelta(days=1),
            actor="test",
        )
        agree_discount(
            tenant_id=tenant.id,
            agreed=AgreedDiscount(
                document={"name": f"Discount of {tenant.key}", "type": "percentage", "value": "5"},
                when=EffectiveWhen.PERIOD_END,
                reason="test",
            ),
            now=subscription.next_boundary_at - timedelta(days=1),
            actor="test",
        )
        SubscriptionHolding.objects.create(
            tenant_id=tenant.id,
            subscription=subscription,
            price_key="base",
            starts_on=subscription.starts_on,
            quantity=1,
            changed_at=now,
        )
        SubscriptionPause.objects.create(
            tenant_id=tenant.id,
            subscription=subscription,
            starts_on=date(2026, 4, 10),
            ends_on=date(2026, 4, 11),
            changed_at=now,
        )
    with tenant_scope(tenant.id):
        change_id = request_change(
            tenant_id=tenant.id,
            subscription_id=subscription.id,
            asked=AskedChange(kind=ChangeKind.QUANTITY, price="base", quantity=Decimal(2)),
            now=now,
            actor="test",
        )
        attempt = PaymentAttempt.objects.create(
            tenant_id=tenant.id,
            invoice=invoices[1],
            number=1,
            gateway=Gateway.STRIPE,
            currency="CNY",
            amount_minor=100,
            state=AttemptState.FAILED,
            requested_by="test",
            requested_at=now,
            concluded_at=now,
        )
        fapiao_id = _fapiao(tenant, invoices[0])
        set_billing_profile(
            tenant_id=tenant.id,
            changes={"legal_name": f"{tenant.key} Ltd", "order_number": f"PO of {tenant.key}"},
            by_staff=False,
            now=now,
            actor="test",
        )
        charge_id = ask_charge(tenant_id=tenant.id, asked=_charge_of(tenant), now=now, actor="test")
        top_up_id = request_top_up(
            tenant_id=tenant.id,
            amount=Money.of("10", "CNY"),
            reference="top-up",
            now=now,
            actor="test",
            issue=False,
        )
        proforma_id = make_proforma(
            tenant_id=tenant.id,
            charge_id=charge_id,
            valid_until=now.date() + timedelta(days=30),
            now=now,
            actor="test",
        )
    with system_scope(purpose="test"):
        for media_type in ("application/xml", "application/pdf"):
            FapiaoFile.objects.create(
                tenant_id=tenant.id,
                fapiao_id=fapiao_id,
                media_type=media_type,
                content=f"<Fapiao>{tenant.key}</Fapiao>".encode(),
                sha256=bytes(32),
                received_at=now,
            )
        mail = DocumentMail.objects.create(
            tenant_id=tenant.id,
            invoice=invoices[0],
            address=f"accounts@{tenant.key}.example",
            state=MailState.SENT,
            batch=uuid4(),
            planned_at=now,
            sent_at=now,
        )
        MailPreference.objects.create(tenant_id=tenant.id, addresses=[f"more@{tenant.key}.example"])
    with tenant_scope(tenant.id):
        credit_note_id = CreditNote.objects.values_list("id", flat=True)[0]
    print_credit_note(tenant_id=tenant.id, credit_note_id=credit_note_id)
    print_proforma(tenant_id=tenant.id, proforma_id=proforma_id)
    statement_id = _statement(tenant)
    hold_id = _hold(tenant)
    with tenant_scope(tenant.id):
        return World(
            tenant=tenant,
            keys=keys,
            key_id=spare.id,
            member_id=Member.objects.filter(role=Role.OWNER).values_list("id", flat=True)[0],
            people=people,
            subscription_id=subscription.id,
            change_id=change_id,
            invoice_ids=tuple(invoice.id for invoice in invoices),
            invoice_numbers=tuple(str(invoice.number) for invoice in invoices),
            payment_id=Payment.objects.values_list("id", flat=True)[0],
            attempt_id=attempt.id,
            fapiao_id=fapiao_id,
            credit_note_id=credit_note_id,
            mail_id=mail.id,
            charge_id=charge_id,
            proforma_id=proforma_id,
            top_up_id=top_up_id,
            statement_id=statement_id,
            request_id=request_id,
            hold_id=hold_id,
        )


def _charge_of(tenant: CreatedTenant) -> AskedCharge:
    """A draft that is issued when somebody says so."""
    return AskedCharge(
        kind=InvoiceKind.ONE_OFF,
        reference=f"order of {tenant.key}",
        currency="CNY",
        lines=[{"description": f"Set up for {tenant.key}", "amount": "80"}],
    )


def _statement(tenant: CreatedTenant) -> UUID:
    """A statement of all that was posted, with its files, and that one is wanted each month."""
    with tenant_scope(tenant.id):
        set_monthly_statements(tenant_id=tenant.id, wanted=True, now=clock.now(), actor="test")
        statement_id = request_statement(
            tenant_id=tenant.id,
            currency="CNY",
            starts_on=date(2026, 3, 1),
            ends_on=date(2026, 5, 3),
            now=clock.now(),
            actor="test",
        )
    state = make_statement(statement_id=statement_id, now=clock.now())
    assert state == "ready"
    return statement_id


def _hold(tenant: CreatedTenant) -> UUID:
    """A legal hold, and a file that went before it."""
    with system_scope(purpose="test"):
        RemovedFile.objects.create(
            tenant_id=tenant.id,
            kind=FileKind.INVOICE,
            file=uuid4(),
            document=uuid4(),
            name=f"{tenant.key}-1999.pdf",
            sha256=bytes(32),
            issued_on=date(1999, 3, 1),
            country="",
            years=10,
            retained_until=date(2009, 12, 31),
            removed_at=clock.now(),
        )
        return set_legal_hold(
            tenant_id=tenant.id,
            reason=f"case of {tenant.key}",
            now=clock.now(),
            actor="test",
        )


def _fapiao(tenant: CreatedTenant, invoice: Invoice) -> UUID:
    """A request for a small part of the invoice, as it would be asked, and whom it is for."""
    title = FapiaoTitle(name=tenant.key.title(), tax_id="91350100M000100Y43")
    set_fapiao_buyer(tenant_id=tenant.id, title=title, now=clock.now(), actor="test")
    content = FapiaoContent(
        seller=FapiaoSeller(name="Summit", tax_id="91350100M000100Y43"),
        title=title,
        lines=[
            FapiaoLine(
                product=FapiaoProduct(name="Chat", code="3" * 19),
                rate_percent=Decimal(6),
                net=100,
                tax=6,
            )
        ],
        remark=str(invoice.number),
    )
    return Fapiao.objects.create(
        tenant_id=tenant.id,
        invoice=invoice,
        color=FapiaoColor.BLUE,
        content=content.document,
        net_minor=content.net,
        tax_minor=content.tax,
        total_minor=content.total,
        requested_by="test",
        requested_at=clock.now(),
    ).id
