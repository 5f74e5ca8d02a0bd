"""Who can sign in to the demo: one person for each staff role, and members of a few tenants.

Passwords are made when the demo is, and stand in ``demo.json`` of the state folder, which its owner
alone can read; `make run` shows them.
"""

import contextlib
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from config.demo.world import GLOBAL, PRO, STARTER, DemoTenant, DemoWorld
from tenants.domain import Role, StaffRole
from tenants.models import User
from tenants.services.people import NewPerson, add_member, create_staff

FILE: Final = "demo.json"
DOMAIN: Final = "demo.example"

_SEASONED_DAYS: Final = 40
_WEEK: Final = 7
_FITS_A_LINE: Final = 60

_STAFF: Final = {
    StaffRole.FINANCE: ("Lin Yuan", "invoices, payments, billing runs"),
    StaffRole.SALES: ("Marta Keller", "tenants, plans, subscriptions"),
    StaffRole.OPERATIONS: ("Arjun Nair", "usage, refused events, jobs"),
    StaffRole.ADMIN: ("Chen Rui", "everything"),
    StaffRole.AUDITOR: ("Grace Okafor", "sees everything, changes nothing"),
}
_MEMBERS: Final = tuple(Role)


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """One person; `tenant` "" for staff."""

    email: str
    password: str = field(repr=False)
    name: str
    role: str
    language: str
    description: str
    tenant: str = ""


def cast(world: DemoWorld) -> list[Login]:
    """The people of a world, with new passwords."""
    people = [
        _login(f"{role}@{DOMAIN}", name=name, role=role, description=f"staff, {role}: {may}")
        for role, (name, may) in _STAFF.items()
    ]
    for place, tenant in enumerate(shown_tenants(world)):
        people += [
            _login(
                f"{role}@{tenant.key}.example",
                name=f"{role.value.title()} of {tenant.key}",
                role=role,
                language=tenant.language,
                description=f"{role} of {tenant.name}, {tenant.plan}",
                tenant=tenant.key,
            )
            for role in (_MEMBERS if place == 0 else (Role.OWNER,))
        ]
    return people


def shown_tenants(world: DemoWorld) -> list[DemoTenant]:
    """Up to three tenants that show much: a large one with Chinese name, one from abroad, a small one.

    The first has several apps where there is such a one.
    """
    shown: list[DemoTenant] = []
    for plans, is_wanted in (
        ((PRO, STARTER), lambda each: each.language != "en" and each.name[0] > "\u3000"),
        ((GLOBAL,), lambda each: True),
        ((STARTER,), lambda each: each.mean_users < 15),
    ):
        found = [
            each
            for each in world.tenants
            if each.plan in plans
            and is_wanted(each)
            and each not in shown
            and len(each.users) > _SEASONED_DAYS
            and sum(each.users[-_WEEK:]) > _WEEK
            and len(each.name) < _FITS_A_LINE
        ]
        if found:
            shown.append(max(found, key=lambda each: (len(each.apps) > 1, each.mean_users)))
    return shown


def _login(
    email: str, *, name: str, role: str, description: str, language: str = "en", tenant: str = ""
) -> Login:
    return Login(
        email=email,
        password=secrets.token_urlsafe(12),
        name=name,
        role=role,
        language=language,
        description=description,
        tenant=tenant,
    )


def read_logins(home: Path) -> Mapping[str, str]:
    """The passwords that were noted, by e-mail address; empty when there are none."""
    with contextlib.suppress(FileNotFoundError, ValueError, KeyError, TypeError):
        noted = json.loads((home / FILE).read_text(encoding="utf-8"))["logins"]
        return {each["email"]: each["password"] for each in noted}
    return {}


def write_logins(home: Path, logins: Sequence[Login]) -> None:
    """Note the logins for `make run`; whole or not at all, for the owner's eyes only."""
    home.mkdir(parents=True, exist_ok=True)
    draft = home / f".{FILE}.{secrets.token_hex(4)}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(
            {
                "logins": [
                    {
                        "email": each.email,
                        "password": each.password,
                        "role": each.role,
                        "tenant": each.tenant,
                        "description": each.description,
                    }
                    for each in logins
                ]
            },
            file,
            ensure_ascii=False,
            indent=1,
        )
        file.flush()
        os.fsync(file.fileno())
    draft.replace(home / FILE)


def make_staff(logins: Sequence[Login], *, now: datetime, actor: str) -> None:
    """Make the staff that is not there, in the caller's cross-tenant scope."""
    for each in _missing([each for each in logins if not each.tenant]):
        create_staff(person=_person(each), role=each.role, now=now, actor=actor)


def make_members(logins: Sequence[Login], *, tenant: DemoTenant, now: datetime, actor: str) -> None:
    """Make the members of a tenant that are not there, in the caller's cross-tenant scope."""
    for each in _missing([each for each in logins if each.tenant == tenant.key]):
        add_member(
            tenant_key=tenant.key, person=_person(each), role=each.role, now=now, actor=actor
        )


def _missing(logins: Sequence[Login]) -> list[Login]:
    there = {
        user.email: user for user in User.objects.filter(email__in=[each.email for each in logins])
    }
    for each in logins:
        user = there.get(each.email)
        if user is not None and not user.check_password(each.password):
            # The noted passwords were lost between two starts of an unfinished demo.
            user.set_password(each.password)
            user.save(update_fields=["password"])
    return [each for each in logins if each.email not in there]


def _person(login: Login) -> NewPerson:
    return NewPerson(
        email=login.email, name=login.name, password=login.password, language=login.language
    )
