"""Signing in over HTTP: password, second factor, recovery codes, and the password once more for what
is dangerous."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import (
    format_hotp_value,
    hotp_value,
    yield_hotp_counters_from_time,
)
from django.core.cache import cache
from django.db import connections
from django.test import Client
from django.urls import reverse
from django.utils.module_loading import import_string

from config import settings as configured
from kernel import clock
from tenants.domain import Role
from tenants.models import ApiKey, Member, SharedMemory, User
from tenants.scope import system_scope
from tenants.services.people import NewPerson, add_member
from tests.factories import a_tenant

PASSWORD = "correct horse battery staple"


@pytest.fixture
def owner(db: None) -> User:
    """An owner of the tenant acme."""
    tenant = a_tenant("acme")
    with system_scope(purpose="test"):
        user = User.objects.create_user("owner@acme.test", PASSWORD)
        Member.objects.create(tenant_id=tenant.id, user=user, role=Role.OWNER)
    return user


def sign_in(client: Client, *, password: str = PASSWORD) -> str:
    """Send the form; gives where it leads, empty when it comes back."""
    answer = client.post(
        reverse("account_login"), {"login": "owner@acme.test", "password": password}
    )
    return str(answer.headers.get("Location", ""))


def code_of(secret: str) -> str:
    """The authenticator's code of this moment."""
    counter = next(iter(yield_hotp_counters_from_time()))
    return str(format_hotp_value(hotp_value(secret, counter)))


def test_password_leads_to_the_start_page_and_on(client: Client, owner: User) -> None:
    assert sign_in(client) == "/"
    assert client.get("/")["Location"] == reverse("portal:tenants")
    assert client.get(reverse("portal:tenants"))["Location"] == "/portal/acme/"


def test_the_service_keeps_passwords_as_costly_argon2_hashes() -> None:
    (hasher,) = configured.PASSWORD_HASHERS
    encoded = import_string(hasher)().encode("correct horse", "a-grain-of-salt")

    told = re.match(r"argon2\$argon2id\$v=19\$m=(\d+),t=(\d+),p=\d+\$", encoded)
    assert told is not None
    # OWASP's password storage page: at least 19 MiB and two rounds.
    assert int(told[1]) >= 19 * 1024
    assert int(told[2]) >= 2


def test_wrong_password_comes_back(client: Client, owner: User) -> None:
    assert sign_in(client, password="not it") == ""
    assert client.get("/portal/acme/").status_code == 302


def test_many_wrong_passwords_are_held_up(client: Client, owner: User) -> None:
    for _ in range(10):
        sign_in(client, password="not it")
    assert sign_in(client) == "", "even the right one has to wait now"


def test_nobody_signs_up(client: Client) -> None:
    answer = client.post(
        reverse("account_signup"),
        {"email": "me@x.test", "password1": PASSWORD, "password2": PASSWORD},
    )
    assert b"No open sign-up" in answer.content
    assert not User.objects.exists()


def enrolled(client: Client) -> str:
    """Set up the second factor as the page leads one; gives its secret."""
    sign_in(client)
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    page = client.get(reverse("mfa_activate_totp")).content.decode()
    found = re.search(r'id="authenticator_secret"[^>]*value="([A-Z2-7]+)"', page)
    assert found is not None
    answer = client.post(reverse("mfa_activate_totp"), {"code": code_of(found[1])})
    assert answer.status_code == 302
    return found[1]


def test_second_factor_is_asked_for_once_it_is_set_up(client: Client, owner: User) -> None:
    secret = enrolled(client)
    client.post(reverse("account_logout"))
    cache.clear()
    assert sign_in(client) == reverse("mfa_authenticate")
    assert client.get("/portal/acme/").status_code == 302
    assert client.post(reverse("mfa_authenticate"), {"code": "000000"}).status_code == 200
    # The code of the set-up counts as used; a recovery code serves once.
    code = recovery_codes(owner)[0]
    assert client.post(reverse("mfa_authenticate"), {"code": code}).status_code == 302
    assert client.get("/portal/acme/").status_code == 200
    client.post(reverse("account_logout"))
    cache.clear()
    sign_in(client)
    assert client.post(reverse("mfa_authenticate"), {"code": code}).status_code == 200
    assert client.post(reverse("mfa_authenticate"), {"code": code_of(secret)}).status_code == 302


def recovery_codes(user: User) -> list[str]:
    """The codes that the person was shown."""
    row = Authenticator.objects.get(user=user, type=Authenticator.Type.RECOVERY_CODES)
    assert get_adapter().decrypt(row.data["seed"]) != ""
    codes: list[str] = row.wrap().get_unused_codes()
    return codes


def test_key_is_made_only_after_the_password_was_given_lately(client: Client, owner: User) -> None:
    client.force_login(owner, backend="allauth.account.auth_backends.AuthenticationBackend")
    keys = reverse("portal:keys", args=["acme"])
    answer = client.post(keys, {"label": "Chat server", "scope": "ingest"})
    assert answer["Location"].startswith(reverse("account_reauthenticate"))
    with system_scope(purpose="test"):
        assert not ApiKey.objects.exists()
    answer = client.post(answer["Location"], {"password": PASSWORD, "next": keys})
    # The form that was held back is carried out, and its answer shows the key, this once.
    assert answer.status_code == 200
    assert b"Your new key" in answer.content
    assert "no-store" in answer["Cache-Control"]
    with system_scope(purpose="test"):
        assert ApiKey.objects.get().label == "Chat server"
    assert b"Your new key" not in client.get(keys).content


def test_nobody_gives_themselves_the_address_of_somebody_who_is_yet_to_come(
    client: Client, owner: User
) -> None:
    """Roles are given to addresses: an account that took one would be given another's roles."""
    sign_in(client)
    theirs = "newcomer@other.test"
    for form in ({"action_add": "", "email": theirs}, {"action_primary": "", "email": theirs}):
        assert client.post(reverse("account_email"), form).status_code == 404
    assert client.get(reverse("account_email")).status_code == 404

    a_tenant("other", apps=("other-chat",))
    with system_scope(purpose="test"):
        made = add_member(
            tenant_key="other",
            person=NewPerson(email=theirs),
            role=Role.OWNER,
            now=clock.now(),
            actor="test",
        )
    assert made.created
    assert made.user_id != owner.pk


def test_wrong_passwords_at_once_are_counted_one_by_one_for_all_processes(owner: User) -> None:
    clients = [Client(REMOTE_ADDR=f"192.0.2.{n}") for n in range(12)]

    def guess(client: Client) -> bool:
        try:
            answer = client.post(
                reverse("account_login"), {"login": owner.email, "password": "wrong guess"}
            )
            return b"Too many failed login attempts" in answer.content
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(clients)) as pool:
        refused = list(pool.map(guess, clients))

    assert refused.count(False) <= 5
    # In the database, where every web process finds them, and without the address itself.
    keys = list(SharedMemory.objects.values_list("cache_key", flat=True))
    assert any("login_failed" in key for key in keys)
    assert not any(owner.email in key for key in keys)
    assert sign_in(Client(REMOTE_ADDR="192.0.2.99")) == ""


@pytest.mark.parametrize("path", ["/console/tenants/%00/", "/portal/a%00/", "/%00", "/api/v1/%00"])
def test_a_path_that_no_database_takes_is_not_found(client: Client, path: str) -> None:
    with system_scope(purpose="test"):
        client.force_login(
            User.objects.create_user("staff@acme.test", PASSWORD, staff_role="admin")
        )
    assert client.get(path).status_code == 404
