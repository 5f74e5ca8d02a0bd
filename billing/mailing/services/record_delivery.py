"""Write down what a provider says became of a mail that it took."""

from datetime import datetime
from typing import Any
from uuid import UUID

from billing.mailing.domain import MailState, states_before
from billing.mailing.models import DocumentMail
from tenants.scope import tenant_scope


def record_delivery(
    *, tenant_id: UUID, mail_id: UUID, copy: int, delivered: bool, detail: str, at: datetime
) -> bool:
    """Let the mail become `delivered` or `bounced`; opens its own scope. Gives whether it did: word of
    an earlier copy, of an unknown mail, or for the second time changes nothing.
    """
    state = MailState.DELIVERED if delivered else MailState.BOUNCED
    written: dict[str, Any] = {"state": state, "concluded_at": at}
    if delivered:
        written |= {"failure_code": "", "failure_detail": ""}
    else:
        written |= {"failure_code": "bounced", "failure_detail": detail[:300]}
    with tenant_scope(tenant_id):
        found = DocumentMail.objects.filter(
            tenant_id=tenant_id, id=mail_id, copy=copy, state__in=states_before(state)
        )
        if delivered:
            # Where its answer was never recorded, this is when it is known to have left.
            found.filter(sent_at__isnull=True).update(sent_at=at)
        return bool(found.update(**written))
