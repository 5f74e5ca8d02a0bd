"""What the tests of mailing stand on: a real SMTP server on loopback, and an issued invoice with its paper."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any
from uuid import UUID

import pytest
from aiosmtpd.controller import Controller
from django.conf import settings

from billing.invoicing.models import Invoice
from billing.invoicing.services.print_invoice import print_invoice
from billing.invoicing.services.run_billing import create_run, execute_run
from billing.mailing.models import DocumentMail
from kernel import clock
from tenants.domain import Role
from tenants.models import Member, Tenant, User
from tenants.scope import system_scope
from tests.factories import a_plan, a_subscription, a_tenant
from work.jobs import run_pending

AT = datetime.fromisoformat("2026-03-01T00:00:00+08:00")
BOX = "accounts@acme.example"


@dataclass
class Post:
    """What the server took, and how it answers: by address, one answer for each try."""

    port: int = 0
    taken: list[EmailMessage] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    answers: dict[str, list[str]] = field(default_factory=dict)
    connections: int = 0
    hold: threading.Event = field(default_factory=threading.Event)
    held: threading.Event = field(default_factory=threading.Event)
    holds: bool = False

    async def handle_EHLO(  # noqa: N802  # the name that aiosmtpd calls
        self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        self.asked.append(address)
        answers = self.answers.get(address, [])
        if answers:
            answer = answers.pop(0)
            if answer == "hang up":
                server.transport.close()
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.taken.append(message)
        if self.holds:
            self.held.set()
            await server.loop.run_in_executor(None, self.hold.wait, 60)
        return "250 OK"

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"


@pytest.fixture
def post(monkeypatch: pytest.MonkeyPatch) -> Iterator[Post]:
    """A running server, settings that send there, and the hour in which the invoices are issued."""
    state = Post()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        state.port = probe.getsockname()[1]
    controller = Controller(state, hostname="127.0.0.1", port=state.port, decode_data=False)
    controller.start()
    monkeypatch.setattr(settings, "MAIL_DOCUMENTS", True)
    monkeypatch.setattr(settings, "EMAIL_BACKEND", "django.core.mail.backends.smtp.EmailBackend")
    monkeypatch.setattr(settings, "EMAIL_HOST", "127.0.0.1")
    monkeypatch.setattr(settings, "EMAIL_PORT", state.port)
    monkeypatch.setattr(settings, "EMAIL_TIMEOUT", 5)
    monkeypatch.setattr(settings, "DEFAULT_FROM_EMAIL", "Summit <billing@summit.example>")
    try:
        with clock.moved_to(AT + timedelta(hours=1)):
            yield state
    finally:
        state.hold.set()
        controller.stop()


def invoices(*keys: str, language: str = "en", box: str = BOX) -> list[Invoice]:
    """An open invoice of 199.00 for each tenant, issued now; only the first's paper is in `language`."""
    a_plan()
    made = [a_tenant(key, apps=(f"{key}-chat",)) for key in keys or ("acme",)]
    with system_scope(purpose="test"):
        for tenant in made:
            Tenant.objects.filter(id=tenant.id).update(
                billing_email=box.replace("acme", tenant.key) if box else "", language=language
            )
    for tenant in made:
        a_subscription(tenant)
    with system_scope(purpose="test"):
        run_id = create_run(at=AT, finalize=True, requested_by="test", now=clock.now())
    execute_run(run_id=run_id, clock=clock.now)
    with system_scope(purpose="test"):
        return list(Invoice.objects.select_related("tenant").order_by("tenant__key"))


def a_member(
    tenant_id: UUID, email: str, role: Role = Role.BILLING, *, active: bool = True
) -> User:
    """A person of the tenant."""
    with system_scope(purpose="test"):
        user = User.objects.create_user(email, "x", is_active=active)
        Member.objects.create(tenant_id=tenant_id, user=user, role=role)
        return user


def printed(*made: Invoice) -> None:
    """As the job that prints leaves them."""
    for invoice in made:
        print_invoice(tenant_id=invoice.tenant_id, invoice_id=invoice.id)


def mails() -> list[DocumentMail]:
    """All of them, by tenant and address."""
    with system_scope(purpose="test"):
        return list(DocumentMail.objects.order_by("tenant__key", "address"))


def work_mail() -> None:
    """Let the jobs do what they can."""
    run_pending(now=clock.now(), kinds=["mailing.plan"])
    run_pending(now=clock.now(), kinds=["mailing.send"])
