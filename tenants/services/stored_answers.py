"""How long the answers to repeated calls are kept."""

from datetime import datetime, timedelta
from typing import Final

from tenants.models import IdempotentRequest

KEPT: Final = timedelta(days=7)
"""Within it a call that is sent again is answered again."""


def forget_old_answers(*, now: datetime) -> int:
    """Remove what is older than `KEPT`, in a cross-tenant scope; gives how many."""
    removed, _ = IdempotentRequest.objects.filter(created_at__lt=now - KEPT).delete()
    return removed
