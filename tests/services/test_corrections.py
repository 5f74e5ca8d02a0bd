"""Corrections by hand: two people, the effect shown before, and nothing else than what was shown."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError, connections, transaction
from django.test import Client

from billing.invoicing.late_listing import pending_late_usage
from billing.invoicing.services.preview_correction import CorrectionEffect, preview_correction
from kernel import clock
from kernel.errors import Conflict, DomainError, Forbidden, Invalid, NotFound
from kernel.money import Money
from metering.corrections.models import CorrectionRequest
from metering.corrections.queries import requested_correction, requested_corrections
from metering.corrections.services.decide_correction import approve_correction, refuse_correction
from metering.corrections.services.request_correction import (
    AskedCorrection,
    check_correction,
    request_correction,
)
from metering.queries import changed_closed_days, usage
from tenants.domain import StaffRole
from tenants.models import AuditRecord, User
from tenants.scope import system_scope
from tests.factories import some_usage
from tests.services.test_late_usage import (
    APRIL_FINAL,
    MARCH_FINAL,
    a_billed_march,
    amounts_of,
    bill,
    listed,
)
from work.connections import OWNER

pytestmark = pytest.mark.usefixtures("db")

DAY = date(2026, 3, 5)
NOW = datetime.fromisoformat(MARCH_FINAL)


def ask(value: str = "15", *, actor: str = "user:1", now: datetime = NOW, **changes: Any) -> UUID:
    asked: dict[str, Any] = {"app": "chat", "meter": "dau", "day": DAY, **changes}
    with system_scope(purpose="test"):
        return request_correction(
            asked=AskedCorrection(value=Decimal(value), **asked),
            reason="a load test was counted",
            now=now,
            actor=actor,
        )


def approve(correction_id: UUID, *, actor: str = "user:2", now: datetime = NOW) -> None:
    with system_scope(purpose="test"):
        approve_correction(correction_id=correction_id, now=now, actor=actor)


def value_of_day(tenant_id: UUID) -> Decimal:
    with system_scope(purpose="test"):
        (row,) = usage(
            tenant_ids=[tenant_id], meters=["dau"], from_day=DAY, to_day=DAY + timedelta(days=1)
        )
    return row.value


def effect_of(value: str) -> CorrectionEffect:
    with system_scope(purpose="test"):
        checked = check_correction(
            AskedCorrection(app="chat", meter="dau", day=DAY, value=Decimal(value))
        )
        return preview_correction(correction=checked, now=NOW)


def test_it_is_applied_when_a_second_person_approves() -> None:
    tenant = a_billed_march()
    correction_id = ask()
    assert value_of_day(tenant.id) == 35
    approve(correction_id)
    assert value_of_day(tenant.id) == 15
    with system_scope(purpose="test"):
        shown = requested_correction(correction_id=correction_id)
        assert (shown.state, shown.decided_by, shown.delta) == ("applied", "user:2", Decimal(-20))
        # The day itself stands as it was closed.
        assert changed_closed_days() == []
        trail = AuditRecord.objects.filter(target=f"correction:{correction_id}").order_by(
            "sequence"
        )
        assert [(row.action, row.actor) for row in trail] == [
            ("usage.correction_requested", "user:1"),
            ("usage.corrected", "user:2"),
        ]
        assert {row.reason for row in trail} == {"a load test was counted"}


def test_the_effect_that_was_shown_is_what_is_billed() -> None:
    tenant = a_billed_march()
    effect = effect_of("15")
    (period,) = effect.periods
    # 15.00 were billed for 35 users of which 10 are included; 15 users are one started block: 5.00.
    assert (period.period.billed, period.period.rated) == (
        Money.of("15", "CNY"),
        Money.of("5", "CNY"),
    )
    assert (period.before, period.period.amount) == (Money.of("0", "CNY"), Money.of("-10", "CNY"))
    assert effect.next_before is not None
    assert effect.next_after == effect.next_before - Money.of("10", "CNY")
    # Nothing of the preview stays.
    assert value_of_day(tenant.id) == 35
    with system_scope(purpose="test"):
        assert pending_late_usage(tenant_id=tenant.id, limit=5).rows == ()

    approve(ask())
    bill(APRIL_FINAL)
    adjustments = [each for each in amounts_of(listed()[-1]) if each[1] == "adjustment"]
    assert adjustments == [("dau", "adjustment", "-10.00")]
    assert effect_of("16").is_none


def test_who_asked_does_not_approve_but_may_take_it_back() -> None:
    tenant = a_billed_march()
    correction_id = ask()
    with pytest.raises(Forbidden) as refused:
        approve(correction_id, actor="user:1")
    assert refused.value.code == "same_person"
    with pytest.raises(IntegrityError), system_scope(purpose="test"):
        CorrectionRequest.objects.filter(id=correction_id).update(
            state="applied", decided_by="user:1", decided_at=NOW
        )
    with system_scope(purpose="test"):
        refuse_correction(correction_id=correction_id, now=NOW, actor="user:1")
    assert value_of_day(tenant.id) == 35
    with pytest.raises(Conflict) as decided:
        approve(correction_id)
    assert decided.value.code == "already_decided"


def test_it_is_applied_once() -> None:
    tenant = a_billed_march()
    correction_id = ask()
    approve(correction_id)
    with pytest.raises(Conflict):
        approve(correction_id, actor="user:3")
    assert value_of_day(tenant.id) == 15


def test_what_was_approved_is_what_was_asked_for() -> None:
    tenant = a_billed_march()
    correction_id = ask()
    for statement in (
        "UPDATE metering_correction_request SET value = 1",
        "UPDATE metering_correction_request SET reason = 'another'",
        "DELETE FROM metering_correction_request",
    ):
        with pytest.raises(IntegrityError), transaction.atomic(using=OWNER):
            connections[OWNER].cursor().execute(statement)
    # Late usage arrives between question and answer.
    some_usage(tenant, {DAY: 36})
    with pytest.raises(Conflict) as changed:
        approve(correction_id)
    assert changed.value.code == "usage_changed"
    assert value_of_day(tenant.id) == 36


def test_it_is_good_for_three_days() -> None:
    a_billed_march()
    correction_id = ask()
    with pytest.raises(Conflict) as expired:
        approve(correction_id, now=NOW + timedelta(hours=72, seconds=1))
    assert expired.value.code == "request_expired"
    approve(correction_id, now=NOW + timedelta(hours=72))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"app": "nobodys"}, "unknown_app"),
        ({"meter": "nothing"}, "unknown_meter"),
        ({"meter": "mau"}, "counted_by_another"),
        ({"kind": "group"}, "unknown_dimension"),
        ({"value": "-1"}, "negative_usage"),
        ({"value": "35"}, "nothing_to_correct"),
        ({"day": date(2098, 1, 1)}, "day_not_closed"),
    ],
)
def test_what_is_refused(changes: dict[str, Any], code: str) -> None:
    a_billed_march()
    with pytest.raises(DomainError) as refused:
        ask(**{"value": "15", **changes})
    assert refused.value.code == code


def test_a_reason_and_a_request_that_exists() -> None:
    a_billed_march()
    with system_scope(purpose="test"), pytest.raises(Invalid):
        request_correction(
            asked=AskedCorrection(app="chat", meter="dau", day=DAY, value=Decimal(1)),
            reason=" ",
            now=NOW,
            actor="user:1",
        )
    with pytest.raises(NotFound):
        approve(UUID(int=1))


def test_staff_ask_look_and_approve_in_the_console() -> None:
    a_billed_march()
    with system_scope(purpose="test"):
        finance, operations, auditor = (
            User.objects.create_user(f"{role}@summit.test", "x", staff_role=role)
            for role in (StaffRole.FINANCE, StaffRole.OPERATIONS, StaffRole.AUDITOR)
        )
    clients = {}
    for person in (finance, operations, auditor):
        clients[person] = Client()
        clients[person].force_login(person)
    form = {"app": "chat", "meter": "dau", "kind": "", "day": "2026-03-05", "value": "15"}
    address = "/console/corrections/new/"

    assert clients[auditor].get(address).status_code == 403
    assert clients[finance].post(address, {**form, "reason": ""}).status_code == 422
    shown = clients[finance].post(address, {**form, "reason": "a load test"})
    assert "CN¥5.00" in shown.content.decode()
    with system_scope(purpose="test"):
        assert requested_corrections(limit=5) == ([], 0)
    asked = clients[finance].post(address, {**form, "reason": "a load test", "accepted": "yes"})
    assert asked.status_code == 302
    place = asked["Location"]
    assert "a load test" in clients[auditor].get("/console/corrections/").content.decode()
    assert clients[auditor].post(place, {"decision": "approve"}).status_code == 403
    assert clients[finance].post(place, {"decision": "approve"}).status_code == 409
    assert "somebody else has to approve" in clients[finance].get(place).content.decode()
    assert clients[operations].post(place, {"decision": "approve"}).status_code == 302
    applied = clients[auditor].get(place).content.decode()
    assert "Applied" in applied
    assert all(person.email in applied for person in (finance, operations))
    with system_scope(purpose="test"):
        rows, total = requested_corrections(limit=5)
        assert (total, rows[0].state, rows[0].requested_at <= clock.now()) == (1, "applied", True)
