"""Fapiao against a real stand-in of the tax platform: one a request whatever happens on the way, and never
more of them than an invoice bills."""

import threading
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import DatabaseError, IntegrityError, connections

from billing.fapiao.domain.content import FapiaoTitle
from billing.fapiao.domain.states import FapiaoKind, FapiaoState, RedReason
from billing.fapiao.domain.validation import FapiaoFaults
from billing.fapiao.gateways.port import PlatformUnavailable
from billing.fapiao.models import Fapiao, FapiaoFile
from billing.fapiao.queries import fapiao_rows, open_credit_notes
from billing.fapiao.services.ask_platform import KIND, ask_platform
from billing.fapiao.services.request_fapiao import request_fapiao
from billing.fapiao.services.request_red import request_red_fapiao
from billing.fapiao.services.set_buyer import set_fapiao_buyer
from billing.invoicing.crediting import LineCredit
from billing.invoicing.models import CreditNote, Invoice
from billing.invoicing.services.credit_invoice import credit_invoice
from kernel import clock
from kernel.errors import Conflict, DomainError, NotFound
from kernel.money import Money
from tenants.scope import system_scope, tenant_scope
from tests.factories import a_tenant
from tests.services.fapiao_world import CHAT, NOW, StandIn, invoice, platform, stand_in
from work.connections import DEFAULT, OWNER
from work.jobs import run_pending
from work.models import Job

__all__ = ["invoice", "platform", "stand_in"]  # fixtures

pytestmark = pytest.mark.usefixtures("db")


def ask_for(invoice: Invoice) -> UUID:
    with tenant_scope(invoice.tenant_id):
        return request_fapiao(
            tenant_id=invoice.tenant_id, invoice_id=invoice.id, now=NOW, actor="user:1"
        )


def ask_for_red(fapiao_id: UUID, **options: Any) -> UUID:
    with system_scope(purpose="test"):
        return request_red_fapiao(fapiao_id=fapiao_id, now=NOW, actor="user:2", **options)


def issued(fapiao_id: UUID) -> Fapiao:
    assert ask_platform(fapiao_id=fapiao_id, now=NOW) is FapiaoState.ISSUED
    return stored(fapiao_id)


def stored(fapiao_id: UUID) -> Fapiao:
    with system_scope(purpose="test"):
        return Fapiao.objects.get(id=fapiao_id)


def credit(invoice: Invoice, amount: str) -> CreditNote:
    with system_scope(purpose="test"):
        number = credit_invoice(
            invoice_id=invoice.id,
            lines=[LineCredit(position=1, amount=Money.of(Decimal(amount), "CNY"))],
            reason="a day without service",
            now=NOW,
            actor="test",
        )
        return CreditNote.objects.get(number=number)


def code_of(action: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(DomainError) as refused:
        action(*arguments, **options)
    return refused.value.code


class TestBlue:
    def test_it_is_issued_by_a_job(self, platform: StandIn, invoice: Invoice) -> None:
        fapiao_id = ask_for(invoice)
        run_pending(now=clock.now(), kinds=[KIND])
        row = stored(fapiao_id)
        assert (row.state, row.net_minor, row.tax_minor) == ("issued", 19900, 1194)
        assert row.number is not None
        assert len(row.number) == 20
        assert row.content["lines"][0]["name"] == CHAT.name
        assert row.content["remark"] == invoice.number
        with tenant_scope(invoice.tenant_id):
            paper, file = FapiaoFile.objects.order_by("media_type")
            assert bytes(paper.content).startswith(b"%PDF-")
            (shown,) = fapiao_rows(tenant_id=invoice.tenant_id, limit=10).rows
        assert b"<Number>" + row.number.encode() in bytes(file.content)
        assert (shown.state, shown.number, shown.has_file) == ("issued", row.number, True)

    def test_while_the_platform_works_the_job_comes_again(
        self, platform: StandIn, invoice: Invoice
    ) -> None:
        platform.told(delay=3600)
        fapiao_id = ask_for(invoice)
        run_pending(now=clock.now(), kinds=[KIND])
        assert stored(fapiao_id).state == "submitted"
        with system_scope(purpose="test"):
            job = Job.objects.get(kind=KIND)
        assert job.state == "ready"
        platform.told(delay=0)
        run_pending(now=job.run_at, kinds=[KIND])
        assert stored(fapiao_id).state == "issued"

    @pytest.mark.parametrize("fault", ["lose", "fail"])
    def test_an_answer_that_is_lost_makes_no_second_one(
        self, platform: StandIn, invoice: Invoice, fault: str
    ) -> None:
        """Lost after it was done, or refused for a moment: the same request is sent again."""
        before = platform.told(**{fault: 2})
        fapiao_id = ask_for(invoice)
        for _ in range(2):
            with pytest.raises(PlatformUnavailable):
                ask_platform(fapiao_id=fapiao_id, now=NOW)
            assert stored(fapiao_id).state == "requested"
        issued(fapiao_id)
        after = platform.told()
        assert after["requests"] - before["requests"] == 1
        assert after["calls"] - before["calls"] == 3

    def test_asked_side_by_side_it_is_one(self, platform: StandIn, invoice: Invoice) -> None:
        before = platform.told()
        fapiao_id = ask_for(invoice)
        faults: list[DomainError] = []

        def ask() -> None:
            try:
                ask_platform(fapiao_id=fapiao_id, now=NOW)
            except DomainError as error:
                faults.append(error)
            finally:
                connections.close_all()

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert faults == []
        assert stored(fapiao_id).state == "issued"
        assert platform.told()["requests"] - before["requests"] == 1
        with system_scope(purpose="test"):
            assert FapiaoFile.objects.count() == 2

    def test_what_the_platform_refuses_has_failed_and_may_be_asked_anew(
        self, platform: StandIn, invoice: Invoice
    ) -> None:
        platform.told(refuse="buyer_unknown")
        first = ask_for(invoice)
        assert ask_platform(fapiao_id=first, now=NOW) is FapiaoState.FAILED
        assert stored(first).failure_code == "buyer_unknown"
        platform.told(refuse="")
        second = ask_for(invoice)
        assert second != first
        issued(second)
        assert ask_platform(fapiao_id=first, now=NOW) is FapiaoState.FAILED

    def test_without_a_platform_none_can_be_asked_for(self, invoice: Invoice) -> None:
        assert code_of(ask_for, invoice) == "fapiao_off"
        with system_scope(purpose="test"):
            assert not Fapiao.objects.exists()

    def test_there_is_one_for_an_amount(self, platform: StandIn, invoice: Invoice) -> None:
        ask_for(invoice)
        assert code_of(ask_for, invoice) == "fapiao_exists"

    def test_asked_twice_at_once_there_is_one(self, platform: StandIn, invoice: Invoice) -> None:
        told: list[str] = []

        def ask() -> None:
            try:
                ask_for(invoice)
                told.append("asked")
            except Conflict as refused:
                told.append(refused.code)
            finally:
                connections.close_all()

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(told) == ["asked", *["fapiao_exists"] * 3]

    def test_it_bills_what_credit_notes_left(self, platform: StandIn, invoice: Invoice) -> None:
        credit(invoice, "99.00")
        row = issued(ask_for(invoice))
        assert (row.net_minor, row.tax_minor) == (10000, 600)
        with system_scope(purpose="test"):
            assert fapiao_rows(limit=10).total == 1
            assert open_credit_notes() == []

    def test_what_can_not_be_asked_for(self, platform: StandIn, invoice: Invoice) -> None:
        stranger = a_tenant("beta", apps=("beta-chat",))
        with pytest.raises(NotFound), tenant_scope(stranger.id):
            request_fapiao(tenant_id=stranger.id, invoice_id=invoice.id, now=NOW, actor="user:3")
        with tenant_scope(invoice.tenant_id):
            set_fapiao_buyer(
                tenant_id=invoice.tenant_id,
                title=FapiaoTitle(
                    name="王芳", kind=FapiaoKind.ORDINARY, tax_id="91350100M000100Y43"
                ),
                now=NOW,
                actor="user:1",
            )
        with pytest.raises(FapiaoFaults), tenant_scope(invoice.tenant_id):
            set_fapiao_buyer(
                tenant_id=invoice.tenant_id,
                title=FapiaoTitle(name="", tax_id="1"),
                now=NOW,
                actor="user:1",
            )
        credit(invoice, "199.00")
        assert code_of(ask_for, invoice) == "invalid_fapiao"


class TestRed:
    def test_a_credit_note_wants_one(self, platform: StandIn, invoice: Invoice) -> None:
        blue = issued(ask_for(invoice))
        note = credit(invoice, "99.00")
        with system_scope(purpose="test"):
            (open_note,) = open_credit_notes()
        assert (open_note.number, open_note.fapiao_number) == (note.number, blue.number)
        red = issued(ask_for_red(blue.id, reason=RedReason.SERVICE_ENDED, credit_note_id=note.id))
        assert (red.net_minor, red.tax_minor, red.total_minor) == (9900, 594, note.total_minor)
        assert red.content["of_number"] == blue.number
        assert red.confirmation.startswith("C")
        with system_scope(purpose="test"):
            assert open_credit_notes() == []
        assert (
            code_of(ask_for_red, blue.id, reason=RedReason.DISCOUNT, credit_note_id=note.id)
            == "fapiao_exists"
        )

    def test_parts_never_exceed_the_blue_one(self, platform: StandIn, invoice: Invoice) -> None:
        blue = issued(ask_for(invoice))
        for amount in ("100.00", "98.99", "0.01"):
            note = credit(invoice, amount)
            ask_for_red(blue.id, reason=RedReason.DISCOUNT, credit_note_id=note.id)
        with system_scope(purpose="test"):
            reds = Fapiao.objects.filter(of=blue)
            assert sum(row.total_minor for row in reds) == blue.total_minor == 21094
        assert code_of(ask_for_red, blue.id, reason=RedReason.ISSUED_IN_ERROR) == (
            "fapiao_partly_taken_back"
        )

    def test_one_issued_in_error_is_taken_back_and_issued_anew(
        self, platform: StandIn, invoice: Invoice
    ) -> None:
        blue = issued(ask_for(invoice))
        assert code_of(ask_for_red, blue.id, reason=RedReason.DISCOUNT) == "red_needs_note"
        red = ask_for_red(blue.id, reason=RedReason.ISSUED_IN_ERROR)
        # Not before the red one is there: else two blue ones would stand.
        assert code_of(ask_for, invoice) == "fapiao_exists"
        issued(red)
        again = issued(ask_for(invoice))
        assert again.total_minor == blue.total_minor
        assert again.number != blue.number
        with system_scope(purpose="test"):
            assert open_credit_notes() == []

    def test_only_an_issued_one_can_be_taken_back(
        self, platform: StandIn, invoice: Invoice
    ) -> None:
        blue = ask_for(invoice)
        assert code_of(ask_for_red, blue, reason=RedReason.ISSUED_IN_ERROR) == "fapiao_not_issued"
        issued(blue)
        red = issued(ask_for_red(blue, reason=RedReason.ISSUED_IN_ERROR))
        assert code_of(ask_for_red, red.id, reason=RedReason.ISSUED_IN_ERROR) == "fapiao_not_found"


class TestTheDatabaseRefuses:
    @pytest.mark.parametrize(
        "change",
        [
            "total_minor = total_minor + 1, net_minor = net_minor + 1",
            "content = '{}'",
            "invoice_id = gen_random_uuid()",
            "state = 'requested', number = NULL, issued_on = NULL, finished_at = NULL",
            "number = '1'",
            "state = 'failed', number = NULL, failure_code = 'x'",
        ],
    )
    def test_changing_an_issued_one(self, platform: StandIn, invoice: Invoice, change: str) -> None:
        issued(ask_for(invoice))
        with pytest.raises(DatabaseError), connections[OWNER].cursor() as cursor:
            cursor.execute(f"UPDATE billing_fapiao SET {change}")
        with pytest.raises(DatabaseError), connections[OWNER].cursor() as cursor:
            cursor.execute("DELETE FROM billing_fapiaofile")
        with pytest.raises(DatabaseError), connections[OWNER].cursor() as cursor:
            cursor.execute("DELETE FROM billing_fapiao")

    def test_a_second_blue_one_and_too_much_red(self, platform: StandIn, invoice: Invoice) -> None:
        blue = issued(ask_for(invoice))
        columns = "tenant_id, invoice_id, content, net_minor, tax_minor, total_minor, currency,"
        columns += "requested_by, requested_at, confirmation, failure_code, failure_detail"
        for color, of, reason in (("blue", "NULL", ""), ("red", "id", "discount")):
            more = "+ 1" if color == "red" else ""
            amounts = columns.replace("net_minor", f"net_minor {more}", 1).replace(
                "total_minor", f"total_minor {more}"
            )
            with pytest.raises(IntegrityError), connections[OWNER].cursor() as cursor:
                cursor.execute(
                    f"INSERT INTO billing_fapiao (id, color, of_id, reason, state, {columns})"
                    f" SELECT gen_random_uuid(), '{color}', {of}, '{reason}', 'requested', {amounts}"
                    " FROM billing_fapiao WHERE id = %s",
                    [blue.id],
                )

    def test_the_web_role_neither_issues_nor_takes_away(
        self, platform: StandIn, invoice: Invoice
    ) -> None:
        fapiao_id = ask_for(invoice)
        for statement in (
            "UPDATE billing_fapiao SET state = 'issued', number = repeat('1', 20)",
            "DELETE FROM billing_fapiao",
            "INSERT INTO billing_fapiaofile SELECT id, tenant_id, id, 'x', '', '', now() FROM billing_fapiao",
        ):
            with (
                pytest.raises(DatabaseError),
                tenant_scope(invoice.tenant_id),
                connections[DEFAULT].cursor() as cursor,
            ):
                cursor.execute(statement)
        assert stored(fapiao_id).state == "requested"
