"""The console's page of meters: a definition tried on stored events, and what is wrong with it in place."""

import json
from datetime import date
from typing import Any

import pytest
from django.test import Client

from metering.meters.models import MeterDefinition
from tenants.domain import StaffRole
from tenants.models import User
from tenants.scope import system_scope
from tests.factories import a_tenant
from tests.services.metering_world import message, send

pytestmark = pytest.mark.usefixtures("db")

DEFINITION: dict[str, Any] = {
    "key": "eu_active",
    "event_types": ["message.sent"],
    "filter": {"region": ["eu"]},
    "aggregation": "distinct",
    "effective_from": "2030-01-01",
}


def tried(**changes: Any) -> Any:
    """What the page answers to a member of operations who tries the definition."""
    with system_scope(purpose="test"):
        person = User.objects.create_user(
            "operations@summit.test", "x", staff_role=StaffRole.OPERATIONS
        )
    client = Client()
    client.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client.post(
        "/console/meters/",
        {
            "definition": json.dumps({**DEFINITION, **changes.pop("definition", {})}),
            "app": "chat",
            "from_day": date(2026, 2, 20),
            "to_day": date(2026, 2, 23),
            **changes,
        },
    )


def test_a_definition_is_tried_on_stored_events_and_not_stored() -> None:
    tenant = a_tenant()
    send(
        tenant.id,
        [
            message(str(number), f"u{number}", "2026-02-21T09:00:00+08:00", region="eu")
            for number in range(47)
        ],
    )
    answer = tried()
    assert answer.status_code == 200
    shown = answer.content.decode()
    preview = shown[shown.index('id="preview"') :]
    assert "47" in preview
    assert MeterDefinition.objects.count() == 0


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"definition": {"aggregation": "mean"}}, "aggregation"),
        ({"app": "nobody"}, "nobody"),
        ({"to_day": "2026-02-20"}, "to"),
    ],
)
def test_what_is_wrong_stands_at_its_field(changes: dict[str, Any], told: str) -> None:
    a_tenant()
    answer = tried(**changes)
    assert answer.status_code == 422
    shown = answer.content.decode()
    assert told in shown
    assert "invalid-feedback" in shown or "is-invalid" in shown
    assert 'id="preview"' not in shown
