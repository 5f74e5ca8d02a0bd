"""Make a login: one of the operator's staff, or a member of a tenant."""

import os
from typing import Any

from django.core.management.base import CommandParser

from kernel import clock
from tenants.domain import Role, StaffRole
from tenants.scope import system_scope
from tenants.services.people import NewPerson, add_member, create_staff
from work.commands import SummitCommand, WrongUse

_PASSWORD_VARIABLE = "SUMMIT_PASSWORD"  # noqa: S105  # its name, not a password
_ACTOR = "command:create_user"


class Command(SummitCommand):
    help = (
        "Make a login for one of the operator's staff (--staff ROLE) or a member of a tenant "
        "(--tenant KEY --role ROLE). The password is taken from the environment variable "
        f"{_PASSWORD_VARIABLE}; without it one is made and printed once."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--email", required=True)
        parser.add_argument("--name", default="")
        parser.add_argument("--language", default="en", choices=["en", "zh-hans"])
        parser.add_argument("--staff", choices=[role.value for role in StaffRole], default="")
        parser.add_argument("--tenant", metavar="KEY", default="")
        parser.add_argument("--role", choices=[role.value for role in Role], default="")

    def handle(
        self,
        *args: Any,
        email: str,
        name: str,
        language: str,
        staff: str,
        tenant: str,
        role: str,
        **options: Any,
    ) -> None:
        if bool(staff) == bool(tenant) or bool(tenant) != bool(role):
            raise WrongUse("Give either --staff ROLE, or --tenant KEY and --role ROLE.")
        person = NewPerson(
            email=email,
            name=name,
            language=language,
            password=os.environ.get(_PASSWORD_VARIABLE, ""),
        )
        now = clock.now()
        with system_scope(purpose="create a user", actor="command"):
            if staff:
                made = create_staff(person=person, role=staff, now=now, actor=_ACTOR)
            else:
                made = add_member(
                    tenant_key=tenant, person=person, role=role, now=now, actor=_ACTOR
                )
        self.emit(
            {"email": made.email, "created": made.created, "password": made.password or None},
            text=f"{made.email}  {made.password or '(password as it was)'}",
        )
