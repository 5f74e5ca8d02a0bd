"""Let a person into a tenant."""

from datetime import datetime
from uuid import UUID

from kernel import ids
from kernel.errors import Conflict, Invalid
from tenants import audit
from tenants.domain import Role
from tenants.models import Member, User


def add_member(*, tenant_id: UUID, user: User, role: str, now: datetime, actor: str) -> UUID:
    """Give `user` a role in the tenant, inside the caller's scope.

    Raises Invalid `unknown_role`, Conflict `already_member`.
    """
    if role not in set(Role):
        raise Invalid(
            "unknown_role", f"role {role[:40]!r} must be one of {', '.join(Role)}.", field="role"
        )
    member, is_new = Member.objects.get_or_create(
        tenant_id=tenant_id,
        user=user,
        defaults={"id": ids.new_id(), "role": role, "created_at": now},
    )
    if not is_new:
        raise Conflict(
            "already_member", "The person is a member already; change the role.", field="user"
        )
    audit.record(
        audit.Entry(
            tenant_id=tenant_id,
            actor=actor,
            action="member.added",
            target=f"user:{user.pk}",
            after={"role": role},
        ),
        now=now,
    )
    return member.id
