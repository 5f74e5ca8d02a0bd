"""`manage.py rebuild_usage`: all tenants' days anew from the events, or a check that nothing would change."""

import io
import json
from datetime import date, timedelta
from decimal import Decimal
from importlib import import_module
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections

from metering.corrections.services.decide_correction import approve_correction
from metering.corrections.services.request_correction import AskedCorrection, request_correction
from metering.models import DailyUsage
from metering.recount.models import StatedUsage
from metering.rollup.services import rebuild_tenants as service
from metering.services import close_days, roll_up_pending
from tenants.scope import system_scope
from tests.factories import NOW, a_tenant
from tests.services.metering_world import message, send, stored_usage
from work.connections import OWNER

pytestmark = pytest.mark.usefixtures("db")


def rebuild(*arguments: str) -> tuple[int, dict[str, Any]]:
    out, status = io.StringIO(), 0
    try:
        call_command(
            "rebuild_usage",
            "--json",
            "--from=2026-03-01",
            "--to=2026-04-01",
            *arguments,
            stdout=out,
        )
    except SystemExit as ended:
        status = int(ended.code or 0)
    found = json.loads(out.getvalue())
    return status, {name: found[name] for name in ("tenants", "changed", "corrected")}


def test_all_tenants_are_counted_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "TENANTS_AT_ONCE", 2)
    tenants = [a_tenant(f"t{n}", apps=(f"chat{n}",)) for n in range(5)]
    for n, tenant in enumerate(tenants):
        send(tenant.id, [message(str(k), f"u{k}", app=f"chat{n}") for k in range(n + 1)])
    roll_up_pending(now=NOW)
    before = [stored_usage(tenant.id) for tenant in tenants]
    # Each tenant has daily active users and messages of one day.
    assert rebuild() == (0, {"tenants": 5, "changed": 0, "corrected": 0})
    with system_scope(purpose="test"):
        DailyUsage.objects.filter(tenant_id=tenants[4].id, meter="dau").delete()
        DailyUsage.objects.filter(tenant_id=tenants[1].id).update(value=99)
    spoiled = [stored_usage(tenant.id) for tenant in tenants]
    assert rebuild("--check") == (1, {"tenants": 5, "changed": 3, "corrected": 0})
    assert [stored_usage(tenant.id) for tenant in tenants] == spoiled
    assert rebuild("--tenant", "t4") == (0, {"tenants": 1, "changed": 1, "corrected": 0})
    assert rebuild() == (0, {"tenants": 5, "changed": 2, "corrected": 0})
    assert [stored_usage(tenant.id) for tenant in tenants] == before
    assert rebuild("--check") == (0, {"tenants": 5, "changed": 0, "corrected": 0})
    assert before[0] != {}
    assert {day for _, _, _, day in before[0]} == {date(2026, 3, 1)}


def test_what_people_corrected_before_it_was_kept_as_raw_data_stays() -> None:
    """A count of 2 was corrected to 5 and then to 4; a third user came late."""
    tenant, day, later = a_tenant(), NOW.date(), NOW + timedelta(days=3)
    send(tenant.id, [message("1", "u1"), message("2", "u2")])
    roll_up_pending(now=NOW)
    with system_scope(purpose="test"):
        close_days(now=later)
    for value in (5, 4):
        with system_scope(purpose="test"):
            asked = AskedCorrection(app="chat", meter="dau", day=day, value=Decimal(value))
            request = request_correction(asked=asked, reason="a test", now=later, actor="user:1")
            approve_correction(correction_id=request, now=later, actor="user:2")
            later += timedelta(hours=1)
    send(tenant.id, [message("3", "u3")], now=later)
    roll_up_pending(now=later)
    corrected = stored_usage(tenant.id)
    with system_scope(purpose="test"):
        StatedUsage.objects.all().delete()
    assert rebuild("--check")[0] == 1
    with connections[OWNER].cursor() as execution:
        execution.execute(import_module("metering.migrations.0020_stated_before").APPLIED)
    assert rebuild("--check") == (0, {"tenants": 1, "changed": 0, "corrected": 0})
    assert stored_usage(tenant.id) == corrected
