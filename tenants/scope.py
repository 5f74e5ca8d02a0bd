"""Whose rows the running code may see.

Three doors, each one transaction:

- `tenant_scope`: one tenant's rows, as the restricted role (web, API, single-tenant jobs);
  `tenant_snapshot` the same, read at one instant.
- `system_scope`: all tenants' rows, for jobs and commands.
- `staff_scope`: all tenants' rows, for the operator's people in the console; writes an access row.

Outside a door, tenant tables show no rows. Doors do not nest, and no network call may be made
inside one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from kernel import clock
from tenants.models import AccessRecord, User
from work.connections import DEFAULT, JOBS, cursor, transaction_on


@contextmanager
def tenant_scope(tenant_id: UUID) -> Iterator[None]:
    """A transaction that sees and writes the rows of one tenant only."""
    with transaction_on(DEFAULT):
        with cursor() as execution:
            # SET LOCAL and not set_config(): only the former reaches the workers of a Citus
            # cluster. SET takes no parameters; a UUID's text holds hex digits and dashes only.
            execution.execute(f"SET LOCAL app.tenant = '{UUID(str(tenant_id))}'")
        yield


@contextmanager
def tenant_snapshot(tenant_id: UUID) -> Iterator[None]:
    """Reads the rows of one tenant only, all queries as of the instant of the first one; writes nothing."""
    with tenant_scope(tenant_id):
        with cursor() as execution:
            execution.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


@contextmanager
def system_scope(*, purpose: str, actor: str = "system") -> Iterator[None]:
    """A transaction over all tenants for a job or a command; `purpose` names it in the access log."""
    with transaction_on(JOBS):
        _record(actor=actor, purpose=purpose, tenant_id=None)
        yield


@contextmanager
def staff_scope(*, user: User, purpose: str, tenant_id: UUID | None = None) -> Iterator[None]:
    """A transaction over all tenants for one of the staff; the access is recorded first.

    Raises PermissionError for a person without a staff role: the caller's check failed to run.
    """
    if not user.is_active or not user.staff_role:
        raise PermissionError("staff_scope is for staff only")
    with transaction_on(JOBS):
        _record(actor=f"user:{user.pk}", purpose=purpose, tenant_id=tenant_id)
        yield


def _record(*, actor: str, purpose: str, tenant_id: UUID | None) -> None:
    AccessRecord.objects.create(
        at=clock.now(), actor=actor, purpose=purpose[:200], subject_tenant=tenant_id
    )
