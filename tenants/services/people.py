"""People who sign in: the operator's staff and the members of tenants."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.crypto import get_random_string

from kernel import ids
from kernel.errors import Conflict, Invalid, NotFound
from tenants import audit
from tenants.domain import Role, StaffRole
from tenants.models import Member, Tenant, User
from tenants.names import check_name

_PASSWORD_LENGTH = 20
_LONGEST_EMAIL = 254


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPerson:
    """Someone who is to sign in. An empty password is replaced by a random one."""

    email: str
    name: str = ""
    password: str = ""
    language: str = "en"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedPerson:
    """`password` is the one that was made, to be shown once; empty when the person was there or
    brought one."""

    user_id: int
    email: str
    password: str
    created: bool


def create_staff(*, person: NewPerson, role: str, now: datetime, actor: str) -> CreatedPerson:
    """Make a staff login, or give a person who is there this staff role; in a cross-tenant scope.

    Raises Invalid `unknown_role`, `invalid_email`, `invalid_name`, `weak_password`.
    """
    if role not in set(StaffRole):
        raise _unknown_role(role, known=[each.value for each in StaffRole])
    user, created = _person(person, now=now)
    before = user.staff_role
    user.staff_role = role
    user.save(update_fields=["staff_role"])
    audit.record(
        audit.Entry(
            tenant_id=None,
            actor=actor,
            action="staff.role_given",
            target=f"user:{user.pk}",
            before={"staff_role": before},
            after={"staff_role": role},
        ),
        now=now,
    )
    return created


def add_member(
    *, tenant_key: str, person: NewPerson, role: str, now: datetime, actor: str
) -> CreatedPerson:
    """Make a person a member of a tenant, with a login if there is none; in a cross-tenant scope.

    Raises NotFound `tenant_not_found`, Conflict `already_member`, Invalid as `create_staff`.
    """
    if role not in set(Role):
        raise _unknown_role(role, known=[each.value for each in Role])
    tenant_id = Tenant.objects.filter(key=tenant_key).values_list("id", flat=True).first()
    if tenant_id is None:
        raise NotFound("tenant_not_found", f"There is no tenant {tenant_key!r}.", field="tenant")
    user, created = _person(person, now=now)
    _add(tenant_id=tenant_id, user=user, role=role, now=now, actor=actor)
    return created


def _add(*, tenant_id: UUID, user: User, role: str, now: datetime, actor: str) -> None:
    member = Member(id=ids.new_id(), tenant_id=tenant_id, user=user, role=role, created_at=now)
    Member.objects.bulk_create([member], ignore_conflicts=True)
    if not Member.objects.filter(id=member.id).exists():
        raise Conflict("already_member", "This person is a member already.", field="email")
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


def _person(person: NewPerson, *, now: datetime) -> tuple[User, CreatedPerson]:
    email = person.email.strip().lower()
    name = check_name(person.name, field="name")
    try:
        validate_email(email)
        if len(email) > _LONGEST_EMAIL:
            raise ValidationError("too long")
    except ValidationError:
        raise Invalid(
            "invalid_email", f"{person.email[:120]!r} is not an e-mail address.", field="email"
        ) from None
    found = User.objects.filter(email=email).first()
    if found is not None:
        return found, CreatedPerson(user_id=found.pk, email=email, password="", created=False)
    user = User(email=email, name=name, language=person.language, is_active=True, created_at=now)
    password = person.password or get_random_string(_PASSWORD_LENGTH)
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid("weak_password", " ".join(error.messages), field="password") from None
    user.set_password(password)
    user.save(force_insert=True)
    shown = "" if person.password else password
    return user, CreatedPerson(user_id=user.pk, email=email, password=shown, created=True)


def _unknown_role(role: str, *, known: list[str]) -> Invalid:
    return Invalid(
        "unknown_role", f"role {role[:40]!r} must be one of {', '.join(known)}.", field="role"
    )
