"""Say who gets a tenant's documents by mail."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from billing.mailing.domain import recipients_given
from billing.mailing.models import MailPreference
from tenants import audit


def set_recipients(
    *,
    tenant_id: UUID,
    is_on: bool,
    to_members: bool,
    addresses: Iterable[str],
    now: datetime,
    actor: str,
) -> None:
    """Keep the preference for documents that are issued from now on, in the caller's scope.

    `is_on` False: none is mailed by itself. `to_members`: to those with the billing role too. Raises
    Invalid `invalid_mail_address`, `too_many_mail_addresses`.
    """
    kept = recipients_given(addresses)
    MailPreference.objects.update_or_create(
        tenant_id=tenant_id,
        defaults={
            "is_on": is_on,
            "to_members": to_members,
            "addresses": kept,
            "changed_at": now,
        },
    )
    audit.record(
        audit.Entry(
            tenant_id=tenant_id,
            actor=actor,
            action="mail.recipients_set",
            target=f"tenant:{tenant_id}",
            after={"is_on": is_on, "to_members": to_members, "addresses": len(kept)},
        ),
        now=now,
    )
