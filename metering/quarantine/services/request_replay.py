"""Ask for a replay that runs in the background."""

from uuid import UUID

from kernel import ids
from kernel.errors import Invalid
from metering.quarantine.queries import REPLAYABLE
from work import jobs


def request_replay(*, tenant_id: UUID, code: str, reason: str, any_age: bool, actor: str) -> None:
    """Have one tenant's refused events of that code tried again once the caller's transaction has
    committed. Raises Invalid `not_replayable`, `reason_missing`."""
    if code not in REPLAYABLE:
        raise Invalid(
            "not_replayable", "Events refused for this are mended by their sender.", field="code"
        )
    if not reason.strip():
        raise Invalid("reason_missing", "Say what was mended.", field="reason")
    jobs.enqueue(
        kind="metering.replay_rejected",
        key=str(ids.new_id()),
        payload={
            "tenant_id": str(tenant_id),
            "code": code,
            "reason": reason.strip()[:500],
            "any_age": any_age,
            "actor": actor,
        },
    )
