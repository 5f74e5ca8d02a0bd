"""Make a person who can sign in."""

from dataclasses import dataclass, field
from datetime import datetime

from django.contrib.auth.hashers import make_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from kernel.errors import Conflict, Invalid
from tenants import audit
from tenants.domain import StaffRole
from tenants.models import User


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUser:
    """`staff_role` "" for a person who is not one of the operator's own."""

    email: str
    password: str = field(repr=False)
    name: str = ""
    language: str = "en"
    staff_role: str = ""


def create_user(*, user: NewUser, now: datetime, actor: str) -> User:
    """Create a person inside the caller's cross-tenant scope.

    Raises Invalid `invalid_email` or `unknown_role`, Conflict `email_taken`.
    """
    email = user.email.strip().lower()
    try:
        validate_email(email)
    except ValidationError:
        raise Invalid(
            "invalid_email", f"email {email[:120]!r} is no e-mail address.", field="email"
        ) from None
    if user.staff_role and user.staff_role not in set(StaffRole):
        raise Invalid(
            "unknown_role",
            f"staff_role {user.staff_role[:40]!r} must be one of {', '.join(StaffRole)}, or empty.",
            field="staff_role",
        )
    row, is_new = User.objects.get_or_create(
        email=email,
        defaults={
            "password": make_password(user.password),
            "name": user.name.strip()[:200],
            "language": user.language,
            "staff_role": user.staff_role,
            "created_at": now,
        },
    )
    if not is_new:
        raise Conflict("email_taken", "email is taken; choose another.", field="email")
    audit.record(
        audit.Entry(
            tenant_id=None,
            actor=actor,
            action="user.created",
            target=f"user:{row.pk}",
            after={"staff_role": row.staff_role},
        ),
        now=now,
    )
    return row
