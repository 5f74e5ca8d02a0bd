"""How findings name tenants and apps, and how stored JSON is read."""

import json
from typing import Any
from uuid import UUID

from tenants.models import App, Tenant


def keys_of(tenant_ids: set[UUID]) -> tuple[dict[UUID, str], dict[UUID, str]]:
    """Keys of tenants and of their apps."""
    return (
        dict(Tenant.objects.filter(id__in=tenant_ids).values_list("id", "key")),
        dict(App.objects.filter(tenant_id__in=tenant_ids).values_list("id", "key")),
    )


def decoded(found: Any) -> Any:
    """JSON as the driver gives it: Django's cursors leave jsonb as text."""
    return json.loads(found) if isinstance(found, str) else found
