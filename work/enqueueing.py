"""Asking for work: a row in the caller's transaction, a worker woken when it commits.

Idempotent by (tenant, kind, key): asking again, at once or years later, changes nothing.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connections, transaction

from kernel.ids import new_id
from work import dispatch
from work.connections import current_alias
from work.domain import AT_ONCE, Payload, check_payload
from work.registry import kind_named


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """A job that is asked for. `key` is the business key of the effect, such as a run's id and a
    chunk's number; `version` and `max_attempts` come from the kind unless given."""

    kind: str
    key: str
    payload: Payload
    tenant_id: UUID | None = None
    run_at: datetime | None = None
    version: int | None = None
    requested_by: str = ""
    id: UUID = field(default_factory=new_id)


def enqueue(
    *,
    kind: str,
    key: str,
    payload: Payload,
    tenant_id: UUID | None = None,
    run_at: datetime | None = None,
    requested_by: str = "",
) -> UUID:
    """Ask for one job in the caller's transaction; gives the id of it, or of the one there already.

    Without `run_at` it is due at once. `requested_by` names a person or a schedule for the console.
    The restricted role may ask for work of the tenant of its scope only.

    Raises LookupError for an unknown kind, TypeError or ValueError for a payload that holds more
    than ids.
    """
    request = JobRequest(
        kind=kind,
        key=key,
        payload=payload,
        tenant_id=tenant_id,
        run_at=run_at,
        requested_by=requested_by,
    )
    alias = current_alias()
    new = insert_requests([request], alias=alias)
    if new:
        return new[0]
    with connections[alias].cursor() as cursor:
        cursor.execute(
            "SELECT id FROM work_job"
            " WHERE tenant_id IS NOT DISTINCT FROM %s AND kind = %s AND key = %s",
            [tenant_id, kind, key],
        )
        (job_id,) = cursor.fetchone()
    return UUID(str(job_id))


def enqueue_many(requests: Iterable[JobRequest]) -> int:
    """Ask for many jobs in one statement in the caller's transaction; gives how many are new.

    Raises as `enqueue` does.
    """
    return len(insert_requests(list(requests), alias=current_alias()))


def insert_requests(requests: Sequence[JobRequest], *, alias: str) -> list[UUID]:
    """Insert the jobs that are not there yet and wake workers when `alias` commits.

    Gives the ids of the new ones.
    """
    if not requests:
        return []
    with connections[alias].cursor() as cursor:
        # In the order of the unique key, so that two callers with the same jobs wait for one
        # another instead of deadlocking.
        cursor.execute(
            """
            INSERT INTO work_job (id, tenant_id, kind, key, payload, version, state, attempts,
                                  max_attempts, run_at, leased_by, error_code, error_detail,
                                  requested_by, dispatched_at)
            SELECT id, tenant_id, kind, key, payload, version, 'ready', 0,
                   max_attempts, run_at, '', '', '',
                   requested_by, CASE WHEN announced THEN statement_timestamp() END
              FROM jsonb_to_recordset(%s::jsonb) AS asked (
                   id uuid, tenant_id uuid, kind text, key text, payload jsonb, version smallint,
                   max_attempts smallint, run_at timestamptz, requested_by text, announced boolean)
             ORDER BY tenant_id, kind, key
            ON CONFLICT (tenant_id, kind, key) DO NOTHING
            RETURNING id, run_at
            """,
            [json.dumps([_row(request) for request in requests], allow_nan=False)],
        )
        inserted = sorted((UUID(str(job_id)), run_at) for job_id, run_at in cursor.fetchall())
    at_once = [job_id for job_id, run_at in inserted if run_at == AT_ONCE]
    if at_once:
        transaction.on_commit(lambda: dispatch.wake_for_jobs(at_once), using=alias)
    return [job_id for job_id, _ in inserted]


def _row(request: JobRequest) -> Mapping[str, Any]:
    kind = kind_named(request.kind)
    check_payload(request.payload)
    if not request.key:
        raise ValueError(f"a {request.kind} job needs a business key")
    if request.run_at is not None and request.run_at.tzinfo is None:
        raise ValueError(f"run_at of {request.kind} {request.key} has no offset")
    return {
        "id": str(request.id),
        "tenant_id": None if request.tenant_id is None else str(request.tenant_id),
        "kind": kind.name,
        "key": request.key,
        "payload": dict(request.payload),
        "version": kind.version if request.version is None else request.version,
        "max_attempts": kind.max_attempts,
        "run_at": (request.run_at or AT_ONCE).isoformat(),
        "requested_by": request.requested_by,
        "announced": request.run_at is None,
    }
