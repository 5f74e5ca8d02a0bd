"""Send the mails of a batch: each call is written down before it is made, and its outcome after it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db.models import F

from billing.mailing.domain import MailState, states_before
from billing.mailing.gateways.configured import carrier
from billing.mailing.gateways.port import (
    Answer,
    Carrier,
    MailServerUnavailable,
    OutgoingMail,
    Verdict,
)
from billing.mailing.models import DocumentMail
from billing.mailing.outgoing import ReadyMail, next_mails
from tenants.scope import system_scope, tenant_scope

_PURPOSE: Final = "mail documents"
_STATES: Final = {
    Verdict.TAKEN: MailState.SENT,
    Verdict.REFUSED: MailState.FAILED,
    Verdict.LATER: MailState.WAITING,
    Verdict.UNKNOWN: MailState.UNCERTAIN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """How many came into which state now; since when one waits for its document to be printed, if one does."""

    outcomes: dict[str, int]
    unprinted_since: datetime | None


def send_mails(
    *,
    batch: UUID,
    clock: Callable[[], datetime],
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    last_try: bool = False,
) -> Sending:
    """Send what of the batch waits, over one connection; opens its own scopes.

    For one run at a time: a mail that is found half sent was left so by a run that ended without a
    word, and becomes `uncertain`. Raises MailServerUnavailable where some should be tried again; at the
    `last_try` these fail instead.
    """
    outcomes: Counter[str] = Counter()
    with system_scope(purpose=_PURPOSE):
        outcomes[MailState.UNCERTAIN] += _end_half_sent(batch, at=clock())
        total = DocumentMail.objects.filter(batch=batch, state=MailState.WAITING).count()
    unprinted: datetime | None = None
    if total:
        try:
            unprinted = _send(
                batch, clock=clock, outcomes=outcomes, tell=lambda done: on_progress(done, total)
            )
        except MailServerUnavailable:
            if not last_try:
                raise
            outcomes[MailState.WAITING] += 1
    if outcomes.pop(MailState.WAITING, 0):
        if not last_try:
            raise MailServerUnavailable(
                "mail_not_taken",
                "The mail server said of some that they should come later; they are tried again.",
            )
        outcomes[MailState.FAILED] += _give_up(batch, at=clock())
    return Sending(
        outcomes={state: count for state, count in outcomes.items() if state and count},
        unprinted_since=unprinted,
    )


def _send(
    batch: UUID,
    *,
    clock: Callable[[], datetime],
    outcomes: Counter[str],
    tell: Callable[[int], None],
) -> datetime | None:
    """Send all that are printed; gives since when another waits for that."""
    unprinted: datetime | None = None
    done = 0
    after: UUID | None = None
    chosen = carrier()
    with chosen.connected():
        while True:
            with system_scope(purpose=_PURPOSE):
                ready = next_mails(batch=batch, after=after)
            if not ready:
                return unprinted
            for mail in ready:
                if mail.message is None:
                    unprinted = min(unprinted or mail.planned_at, mail.planned_at)
                else:
                    outcomes[_carry(chosen, mail, mail.message, batch=batch, clock=clock)] += 1
                done += 1
                tell(done)
            after = ready[-1].id


def _carry(
    chosen: Carrier,
    mail: ReadyMail,
    message: OutgoingMail,
    *,
    batch: UUID,
    clock: Callable[[], datetime],
) -> str:
    """The state that came of it; "" where another run or a person was first."""
    with tenant_scope(mail.tenant_id):
        begun = DocumentMail.objects.filter(
            tenant_id=mail.tenant_id, id=mail.id, batch=batch, state=MailState.WAITING
        ).update(state=MailState.SENDING, attempts=F("attempts") + 1)
    if not begun:
        return ""
    try:
        answer = chosen.carry(message)
    except MailServerUnavailable as error:
        _record(mail, Answer(verdict=Verdict.LATER, code=error.code), at=clock())
        raise
    return _record(mail, answer, at=clock())


def _record(mail: ReadyMail, answer: Answer, *, at: datetime) -> str:
    state = _STATES[answer.verdict]
    written: dict[str, Any] = {
        "state": state,
        "failure_code": answer.code,
        "failure_detail": answer.detail,
    }
    if state is MailState.SENT:
        written |= {"sent_at": at, "provider_id": answer.provider_id}
    elif state is not MailState.WAITING:
        written |= {"concluded_at": at}
    with tenant_scope(mail.tenant_id):
        DocumentMail.objects.filter(
            tenant_id=mail.tenant_id,
            id=mail.id,
            # A call that outlived its job was taken for lost; its late word counts where it settles that.
            state__in=sorted(
                {MailState.SENDING, MailState.UNCERTAIN}.intersection(states_before(state))
            ),
        ).update(**written)
    return state


def _end_half_sent(batch: UUID, *, at: datetime) -> int:
    return DocumentMail.objects.filter(batch=batch, state=MailState.SENDING).update(
        state=MailState.UNCERTAIN, failure_code="ended_unexpectedly", concluded_at=at
    )


def _give_up(batch: UUID, *, at: datetime) -> int:
    """Let what still waits fail, with what was said last."""
    with system_scope(purpose=_PURPOSE):
        given_up = DocumentMail.objects.filter(batch=batch, state=MailState.WAITING)
        given_up.filter(failure_code="").update(failure_code="mail_server_unavailable")
        return given_up.update(state=MailState.FAILED, concluded_at=at)
