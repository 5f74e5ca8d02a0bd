"""Print a pro-forma from what it was kept as saying: once, then the same bytes for ever."""

import hashlib
from typing import Final
from uuid import UUID

from billing.invoicing.documents.render import render_texts
from billing.invoicing.models import Proforma
from tenants.scope import system_scope

KIND: Final = "billing.print_proforma"


def print_proforma(*, tenant_id: UUID, proforma_id: UUID) -> None:
    """Keep the bytes with the pro-forma unless it has some; opens its own scopes. Raises LookupError where there
    is none."""
    purpose = "print a pro-forma"
    with system_scope(purpose=purpose):
        found = Proforma.objects.filter(tenant_id=tenant_id, id=proforma_id).defer("content")
        row = found.first()
    if row is None:
        raise LookupError(f"there is no pro-forma {proforma_id} of tenant {tenant_id}")
    if row.sha256 is not None:
        return
    if row.paper is None:
        raise RuntimeError(f"pro-forma {row.reference} says nothing")
    content = render_texts(texts=row.paper, dated=row.created_at)
    with system_scope(purpose=purpose):
        # Two runs at once give the same bytes; the first one's count.
        Proforma.objects.filter(tenant_id=tenant_id, id=proforma_id, content__isnull=True).update(
            content=content, sha256=hashlib.sha256(content).digest()
        )
