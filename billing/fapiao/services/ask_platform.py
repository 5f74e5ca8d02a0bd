"""Ask the tax platform about a request until it is issued or failed."""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from billing.fapiao.domain.identifiers import is_fapiao_number
from billing.fapiao.domain.states import PENDING, FapiaoColor, FapiaoState, may_follow
from billing.fapiao.gateways.configured import tax_platform
from billing.fapiao.gateways.port import (
    PlatformAnswer,
    PlatformRefused,
    PlatformState,
    PlatformUnavailable,
    TaxPlatform,
)
from billing.fapiao.models import Fapiao, FapiaoFile
from tenants import audit
from tenants.scope import system_scope
from work.jobs import enqueue

KIND: Final = "fapiao.ask_platform"
_SOON: Final = timedelta(seconds=5)
_LATEST: Final = timedelta(minutes=10)


def ask_later(row: Fapiao) -> None:
    """Let a job ask, once the caller's transaction is committed."""
    enqueue(
        kind=KIND,
        key=str(row.id),
        payload={"fapiao_id": str(row.id)},
        tenant_id=row.tenant_id,
        requested_by=row.requested_by,
    )


def ask_platform(
    *, fapiao_id: UUID, now: datetime, platform: TaxPlatform | None = None
) -> FapiaoState:
    """Send the request if it wasn't, and write down what the platform says; gives the state.

    Opens its own scopes and may run again or side by side: the platform knows the request by its id, and
    an answer is written where the state goes on. Raises PlatformUnavailable: then call it again.
    """
    with system_scope(purpose="ask the tax platform"):
        row = Fapiao.objects.get(id=fapiao_id)
    if row.state not in PENDING:
        return FapiaoState(row.state)
    platform = platform or tax_platform()
    answer = None if row.state == FapiaoState.REQUESTED else _look(platform, row)
    if answer is None or answer.state is PlatformState.UNKNOWN:
        try:
            platform.submit(request_id=row.request_id, color=row.color, document=_document(row))
        except PlatformRefused as refused:
            answer = PlatformAnswer(
                state=PlatformState.FAILED, code=refused.code, detail=refused.message
            )
            return _write(row.id, answer, now=now)
        _write(row.id, PlatformAnswer(state=PlatformState.PROCESSING), now=now)
        answer = _look(platform, row)
    return _write(row.id, answer, now=now)


def next_look(*, requested_at: datetime, now: datetime) -> datetime:
    """When to ask again: soon at first, then after as long as it has taken, at most ten minutes."""
    return now + min(max(now - requested_at, _SOON), _LATEST)


def _look(platform: TaxPlatform, row: Fapiao) -> PlatformAnswer:
    answer = platform.look(request_id=row.request_id)
    if answer.state is PlatformState.ISSUED and (
        not is_fapiao_number(answer.number) or answer.issued_on is None
    ):
        raise PlatformUnavailable(
            "tax_platform_unavailable",
            "The tax platform says that it issued a fapiao, but not its number of 20 digits or its day.",
        )
    return answer


def _document(row: Fapiao) -> Mapping[str, object]:
    return {**row.content, "reason": row.reason} if row.color == FapiaoColor.RED else row.content


_STATES: Final = {
    PlatformState.PROCESSING: FapiaoState.SUBMITTED,
    PlatformState.CONFIRMED: FapiaoState.CONFIRMED,
    PlatformState.ISSUED: FapiaoState.ISSUED,
    PlatformState.FAILED: FapiaoState.FAILED,
}


def _write(fapiao_id: UUID, answer: PlatformAnswer, *, now: datetime) -> FapiaoState:
    """Bring the row to what the platform says, one step or two, and keep the files."""
    with system_scope(purpose="ask the tax platform"):
        row = Fapiao.objects.select_for_update().get(id=fapiao_id)
        state = _STATES.get(answer.state)
        if state is None or not may_follow(FapiaoState(row.state), state):
            return FapiaoState(row.state)
        row.state = state
        if state is FapiaoState.SUBMITTED:
            row.submitted_at = now
        if answer.confirmation:
            row.confirmation = answer.confirmation
        if state is FapiaoState.ISSUED:
            row.number, row.issued_on = answer.number, answer.issued_on
        if state is FapiaoState.FAILED:
            row.failure_code = answer.code or "refused"
            row.failure_detail = answer.detail
        if state not in PENDING:
            row.finished_at = now
        row.save()
        if state is FapiaoState.ISSUED:
            _keep_files(row, answer.files or {}, now=now)
        if state not in PENDING:
            audit.record(
                audit.Entry(
                    tenant_id=row.tenant_id,
                    actor="tax_platform",
                    action=f"fapiao.{state.value}",
                    target=f"fapiao:{row.id}",
                    after={"number": row.number, "failure": row.failure_code},
                ),
                now=now,
            )
        return state


def _keep_files(row: Fapiao, files: Mapping[str, bytes], *, now: datetime) -> None:
    FapiaoFile.objects.bulk_create(
        [
            FapiaoFile(
                tenant_id=row.tenant_id,
                fapiao_id=row.id,
                media_type=media_type,
                content=content,
                sha256=hashlib.sha256(content).digest(),
                received_at=now,
            )
            for media_type, content in sorted(files.items())
        ]
    )
