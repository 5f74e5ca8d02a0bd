"""Making logins for staff and members."""

import io
import json

import pytest
from django.core.management import call_command

from kernel import clock
from kernel.errors import Conflict, Invalid, NotFound
from tenants import audit
from tenants.models import Member, User
from tenants.scope import system_scope
from tenants.services.create_tenant import NewTenant, create_tenant
from tenants.services.people import CreatedPerson, NewPerson, add_member, create_staff
from tests.factories import a_tenant

pytestmark = pytest.mark.usefixtures("db")


def staff(
    email: str = "fin@example.com", role: str = "finance", password: str = ""
) -> CreatedPerson:
    with system_scope(purpose="test"):
        return create_staff(
            person=NewPerson(email=email, password=password),
            role=role,
            now=clock.now(),
            actor="test",
        )


def member(
    email: str = "a@example.com", role: str = "owner", tenant: str = "acme"
) -> CreatedPerson:
    with system_scope(purpose="test"):
        return add_member(
            tenant_key=tenant,
            person=NewPerson(email=email),
            role=role,
            now=clock.now(),
            actor="test",
        )


def test_a_made_password_is_given_once_and_signs_in() -> None:
    made = staff()
    user = User.objects.get(email="fin@example.com")
    assert user.check_password(made.password)
    assert user.staff_role == "finance"
    again = staff(role="admin")
    assert (again.created, again.password) == (False, "")
    assert User.objects.get(email="fin@example.com").check_password(made.password)


def test_an_address_counts_whatever_its_case() -> None:
    staff("Fin@Example.com")
    assert staff("fin@example.COM").created is False
    assert User.objects.count() == 1


@pytest.mark.parametrize(
    ("email", "role", "password", "code"),
    [
        ("nobody", "finance", "", "invalid_email"),
        ("a@example.com", "king", "", "unknown_role"),
        ("a@example.com", "finance", "short", "weak_password"),
        ("a@example.com", "finance", "password1234", "weak_password"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_made(
    email: str, role: str, password: str, code: str
) -> None:
    with pytest.raises(Invalid) as refused:
        staff(email, role, password)
    assert refused.value.code == code
    assert User.objects.count() == 0


def test_a_person_may_be_member_of_tenants_once_each() -> None:
    a_tenant("acme")
    a_tenant("beta", apps=("b",))
    member()
    assert member(tenant="beta").created is False
    with pytest.raises(Conflict) as refused:
        member(role="viewer")
    assert refused.value.code == "already_member"
    with system_scope(purpose="test"):
        assert Member.objects.count() == 2
        assert audit.verify() == []


def test_an_unknown_tenant_is_refused() -> None:
    with pytest.raises(NotFound):
        member(tenant="nobody")
    assert User.objects.count() == 0


def test_the_command_prints_the_password_once(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    call_command(
        "create_user", "--email", "ops@example.com", "--staff", "operations", "--json", stdout=out
    )
    made = json.loads(out.getvalue())
    assert User.objects.get(email="ops@example.com").check_password(made["password"])


@pytest.mark.parametrize("name", ["x" * 201, "a\nb", "a\0b", "\u202egnitteuq", "\ud800"])
def test_a_name_that_cannot_be_shown_in_a_line_is_refused(name: str) -> None:
    a_tenant()
    with pytest.raises(Invalid) as refused, system_scope(purpose="test"):
        add_member(
            tenant_key="acme",
            person=NewPerson(email="a@example.com", name=name),
            role="owner",
            now=clock.now(),
            actor="test",
        )
    assert refused.value.code == "invalid_name"
    with pytest.raises(Invalid) as refused, system_scope(purpose="test"):
        create_tenant(
            tenant=NewTenant(key="other", name=name, timezone="UTC"), now=clock.now(), actor="test"
        )
    assert refused.value.code == "invalid_name"


def test_an_address_that_is_too_long_is_refused() -> None:
    with pytest.raises(Invalid) as refused:
        staff(email=f"{'a' * 300}@example.com")
    assert refused.value.code == "invalid_email"
