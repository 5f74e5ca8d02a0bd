"""Send mails that failed, came back or are uncertain once more, many at a person's word."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db.models import Case, F, QuerySet, When

from billing.mailing.domain import TROUBLED, MailState
from billing.mailing.gateways.configured import refuse_unless_sent
from billing.mailing.models import DocumentMail
from billing.mailing.services.plan_mails import send_later
from kernel import ids
from kernel.errors import Invalid
from tenants import audit
from tenants.scope import system_scope
from work.jobs import enqueue

RESEND: Final = "mailing.resend"
ANY_TROUBLE: Final = "troubled"
_AT_A_TIME: Final = 500


def resend_chosen(*, mail_ids: Sequence[UUID], now: datetime, actor: str) -> int:
    """Let a job send those of the mails that want a person once more, in the caller's cross-tenant scope; gives
    how many. Others of them, such as what is being sent, are passed over. Raises Unavailable `mail_off`."""
    refuse_unless_sent()
    return _resend(_troubled(ANY_TROUBLE).filter(id__in=mail_ids), now=now, actor=actor)


def ask_resend_all(*, wanted: str, request_id: UUID, now: datetime, actor: str) -> None:
    """Let a job send all once more that are in the state `wanted` now, "troubled" for all that want a
    person; in the caller's cross-tenant scope. The same `request_id` asks once.

    Raises Unavailable `mail_off`, Invalid `mail_state_not_resent`.
    """
    refuse_unless_sent()
    _states(wanted)
    enqueue(
        kind=RESEND,
        key=str(request_id),
        payload={"wanted": wanted, "until": now.isoformat(), "actor": actor},
        requested_by=actor,
    )


def resend_all(
    *,
    wanted: str,
    until: datetime,
    actor: str,
    clock: Callable[[], datetime],
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Do what was asked for, a few hundred in a transaction; opens its own scopes and gives how many. What came
    into its state after `until` is left: so it ends, and done again it sends nothing again."""
    purpose, again = "send mails again", 0
    with system_scope(purpose=purpose):
        total = _troubled(wanted).filter(concluded_at__lte=until).count()
    while True:
        with system_scope(purpose=purpose):
            found = _troubled(wanted).filter(concluded_at__lte=until)
            done = _resend(found, now=clock(), actor=actor)
        if not done:
            return again
        again += done
        on_progress(again, total)


def _states(wanted: str) -> Sequence[MailState]:
    if wanted == ANY_TROUBLE:
        return TROUBLED
    if wanted not in TROUBLED:
        raise Invalid(
            "mail_state_not_resent",
            "Only mail that failed, came back or is uncertain is sent again together; choose one of these states.",
            field="state",
        )
    return (MailState(wanted),)


def _troubled(wanted: str) -> QuerySet[DocumentMail]:
    return DocumentMail.objects.filter(state__in=_states(wanted))


def _resend(found: QuerySet[DocumentMail], *, now: datetime, actor: str) -> int:
    """The first of them go as one batch, each written into the audit trail."""
    rows = list(
        found.select_for_update(of=("self",), skip_locked=True)
        .select_related("invoice", "credit_note")
        .defer("invoice__issuer", "invoice__buyer", "credit_note__issuer", "credit_note__buyer")
        .order_by("id")[:_AT_A_TIME]
    )
    if not rows:
        return 0
    batch = ids.new_id()
    # As `next_copy` says: an uncertain one goes as the same message.
    DocumentMail.objects.filter(id__in=[row.id for row in rows]).update(
        copy=Case(When(state=MailState.UNCERTAIN, then=F("copy")), default=F("copy") + 1),
        state=MailState.WAITING,
        batch=batch,
        failure_code="",
        failure_detail="",
        sent_at=None,
        concluded_at=None,
    )
    send_later(batch, requested_by=actor)
    audit.record_many(
        [
            audit.Entry(
                tenant_id=row.tenant_id,
                actor=actor,
                action="mail.sent_again",
                target=row.document_target,
                before={"mail": str(row.id), "state": row.state},
            )
            for row in rows
        ],
        now=now,
    )
    return len(rows)
