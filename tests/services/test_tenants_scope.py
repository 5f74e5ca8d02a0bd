"""The doors to tenants' rows: what each shows, what it leaves behind, who may open it."""

import random
import threading
from uuid import UUID

import pytest
from django.db import DatabaseError, connections, transaction

from kernel import clock, ids
from tenants.models import AccessRecord, App, Tenant, User
from tenants.scope import staff_scope, system_scope, tenant_scope
from tenants.services.people import NewPerson, create_staff
from tests.factories import a_tenant
from work.connections import DEFAULT, JOBS, current_alias, cursor

pytestmark = pytest.mark.usefixtures("db")


def seen() -> set[str]:
    return set(Tenant.objects.values_list("key", flat=True))


def test_each_door_shows_what_it_is_for() -> None:
    first = a_tenant("first", apps=("one",))
    a_tenant("second", apps=("two",))
    assert seen() == set()
    with tenant_scope(first.id):
        assert (seen(), current_alias()) == ({"first"}, DEFAULT)
        assert list(App.objects.values_list("key", flat=True)) == ["one"]
    with system_scope(purpose="test"):
        assert (seen(), current_alias()) == ({"first", "second"}, JOBS)
    assert (seen(), current_alias()) == (set(), DEFAULT)


def test_an_unknown_tenant_sees_nothing() -> None:
    a_tenant()
    with tenant_scope(ids.new_id()):
        assert seen() == set()


def test_the_tenant_does_not_outlive_its_transaction() -> None:
    tenant = a_tenant()
    for ending in ("commit", "error", "database error"):
        try:
            with tenant_scope(tenant.id):
                assert seen() == {"acme"}
                if ending == "error":
                    raise LookupError
                if ending == "database error":
                    cursor().execute("SELECT 1/0")
        except (LookupError, DatabaseError):
            pass
        assert seen() == set(), ending


def test_doors_do_not_nest_on_one_role() -> None:
    first, second = a_tenant("first", apps=()), a_tenant("second", apps=())
    with tenant_scope(first.id), pytest.raises(RuntimeError), tenant_scope(second.id):
        pass
    with (
        system_scope(purpose="test"),
        pytest.raises(RuntimeError),
        system_scope(purpose="test again"),
    ):
        pass


def test_what_fails_inside_is_rolled_back_whole() -> None:
    tenant = a_tenant(apps=())
    with (
        pytest.raises(DatabaseError, match="division by zero"),
        tenant_scope(tenant.id),
        cursor() as db,
    ):
        db.execute(
            "INSERT INTO tenants_app (id, tenant_id, key, name, created_at)"
            " VALUES (%s, %s, 'never', '', now()); SELECT 1/0",
            [ids.new_id(), tenant.id],
        )
    with tenant_scope(tenant.id):
        assert not App.objects.exists()


@pytest.mark.parametrize("text", ["x", "", "' OR true --", "00000000-0000-0000-0000-00000000000g"])
def test_the_tenant_must_be_a_uuid(text: str) -> None:
    wrong: UUID = text  # type: ignore[assignment]  # that is what is tested
    with pytest.raises(ValueError, match=r"badly formed|base 16"), tenant_scope(wrong):
        pass


def accesses() -> list[tuple[str, str, UUID | None]]:
    with system_scope(purpose="look"):
        found = AccessRecord.objects.order_by("id").values_list(
            "actor", "purpose", "subject_tenant"
        )
        return [each for each in found if each[1] != "look"]


def test_every_opening_of_the_cross_tenant_door_is_recorded() -> None:
    tenant = a_tenant()
    before = len(accesses())
    with system_scope(purpose="make staff"):
        person = create_staff(
            person=NewPerson(email="staff@example.com"),
            role="auditor",
            now=clock.now(),
            actor="test",
        )
    user = User.objects.get(pk=person.user_id)
    with staff_scope(user=user, purpose="look at " + "x" * 500, tenant_id=tenant.id):
        assert seen() == {"acme"}
    with tenant_scope(tenant.id):
        pass
    made, looked = accesses()[before:]
    assert made == ("system", "make staff", None)
    assert looked == (f"user:{user.pk}", ("look at " + "x" * 500)[:200], tenant.id)


@pytest.mark.parametrize(("role", "active"), [("", True), ("admin", False)])
def test_staff_scope_is_for_active_staff(role: str, active: bool) -> None:
    user = User(email="x@example.com", staff_role=role, is_active=active)
    before = accesses()
    with pytest.raises(PermissionError), staff_scope(user=user, purpose="try"):
        pass
    assert accesses() == before


def test_the_access_log_is_out_of_the_webs_reach() -> None:
    with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic(using=DEFAULT):
        list(AccessRecord.objects.using(DEFAULT).all())


def test_one_connection_serves_many_tenants_in_turn() -> None:
    """What a pooler does: a connection is handed on after each transaction, however that ended."""
    tenants = [a_tenant(f"t{number}", apps=(f"app{number}",)) for number in range(4)]
    connection = connections[DEFAULT]
    connection.ensure_connection()
    connection.inc_thread_sharing()
    lock, wrong = threading.Lock(), []

    def serve(seed: int) -> None:
        chance = random.Random(seed)
        connections[DEFAULT] = connection
        for _ in range(250):
            tenant = chance.choice(tenants)
            ending = chance.choice(("commit", "error", "database error"))
            with lock:
                try:
                    with tenant_scope(tenant.id):
                        found = seen()
                        if ending == "error":
                            raise LookupError
                        if ending == "database error":
                            cursor().execute("SELECT nothing")
                except (LookupError, DatabaseError):
                    pass
                if found != {tenant.key} or seen():
                    wrong.append((tenant.key, found))

    threads = [threading.Thread(target=serve, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    connection.dec_thread_sharing()
    assert wrong == []
