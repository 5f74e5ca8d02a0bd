"""The audit trail: every change that the owner's own SQL can make to it is found."""

import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connections, transaction
from django.test import override_settings

from kernel import clock
from kernel.errors import Invalid
from tenants import audit
from tenants.models import AuditRecord
from tenants.scope import system_scope, tenant_scope
from tenants.services import audit_heads
from tenants.services.audit_heads import check_audit_heads, export_audit_heads
from tenants.services.create_tenant import CreatedTenant
from tests.factories import a_tenant
from work.connections import JOBS, OWNER
from work.jobs import enqueue, run_pending
from work.registry import schedules

pytestmark = pytest.mark.usefixtures("db")


def tamper(*statements: str) -> None:
    """As the owner and past the triggers, as somebody with the server in hand would."""
    with transaction.atomic(using=OWNER), connections[OWNER].cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for statement in statements:
            cursor.execute(statement)
            assert cursor.rowcount > 0, statement


def verify() -> list[tuple[int, str]]:
    with system_scope(purpose="test"):
        return [(link.sequence, link.fault) for link in audit.verify(batch=3)]


def records(tenant: CreatedTenant, count: int = 5) -> None:
    with tenant_scope(tenant.id):
        for number in range(count):
            audit.record(
                audit.Entry(
                    tenant_id=tenant.id,
                    actor="test",
                    action="test.done",
                    before={"n": number, "text": "价格", "list": [1, "2", None]},
                ),
                now=clock.now(),
            )


@pytest.fixture
def chains() -> CreatedTenant:
    """Tenant `acme` with records 1 (its creation) to 6, another tenant, and the deployment's own."""
    tenant, other = a_tenant(), a_tenant("other", apps=("o",))
    records(tenant)
    records(other, 3)
    with system_scope(purpose="test"):
        audit.record(audit.Entry(tenant_id=None, actor="a", action="b"), now=clock.now())
        audit.record(audit.Entry(tenant_id=None, actor="a", action="b"), now=clock.now())
    return tenant


def at(tenant: CreatedTenant, sequence: int) -> str:
    return f"tenant_id = '{tenant.id}' AND sequence = {sequence}"


def test_whole_chains_hold(chains: CreatedTenant) -> None:
    assert verify() == []


@pytest.mark.parametrize(
    "change",
    [
        "at = at + interval '1 microsecond'",
        "actor = 'somebody else'",
        "action = 'x'",
        "target = 'x'",
        """before = '{"n": 3}'""",
        "before = NULL",
        "after = '{}'",
        "reason = 'x'",
        "request_id = 'x'",
        "address = 'x'",
        "id = gen_random_uuid()",
    ],
)
def test_a_changed_row_is_named(chains: CreatedTenant, change: str) -> None:
    tamper(f"UPDATE tenants_auditrecord SET {change} WHERE {at(chains, 4)}")
    assert verify() == [(4, "its content was changed")]


def test_a_row_changed_with_its_hash_breaks_the_next_one(chains: CreatedTenant) -> None:
    with system_scope(purpose="test"):
        row = AuditRecord.objects.get(tenant_id=chains.id, sequence=4)
    row.actor = "somebody else"
    forged = audit._hash(row).hex()
    tamper(
        f"UPDATE tenants_auditrecord SET actor = 'somebody else', row_hash = '\\x{forged}'"
        f" WHERE {at(chains, 4)}"
    )
    assert verify() == [(5, "it does not follow the record before it")]


def test_a_removed_row_is_named(chains: CreatedTenant) -> None:
    tamper(f"DELETE FROM tenants_auditrecord WHERE {at(chains, 3)}")
    assert verify() == [(4, "record 3 is missing")]


def test_a_removed_first_row_is_named(chains: CreatedTenant) -> None:
    tamper(f"DELETE FROM tenants_auditrecord WHERE {at(chains, 1)}")
    assert verify() == [(2, "record 1 is missing")]


@pytest.mark.parametrize(("sequence", "named"), [(0, 0), (-1, -1), (9, 9)])
def test_an_inserted_row_is_named(chains: CreatedTenant, sequence: int, named: int) -> None:
    tamper(
        "INSERT INTO tenants_auditrecord SELECT (jsonb_populate_record(r, jsonb_build_object("
        f"'id', gen_random_uuid(), 'sequence', {sequence}))).*"
        f" FROM tenants_auditrecord r WHERE {at(chains, 3)}"
    )
    assert [number for number, _ in verify()] == [named]


def test_swapped_rows_are_named(chains: CreatedTenant) -> None:
    tamper(
        f"UPDATE tenants_auditrecord SET sequence = -3 WHERE {at(chains, 3)}",
        f"UPDATE tenants_auditrecord SET sequence = 3 WHERE {at(chains, 4)}",
        f"UPDATE tenants_auditrecord SET sequence = 4 WHERE {at(chains, -3)}",
    )
    assert verify() == [(3, "it does not follow the record before it")]


def test_a_row_moved_to_another_tenant_is_named(chains: CreatedTenant) -> None:
    tamper(f"UPDATE tenants_auditrecord SET tenant_id = NULL, sequence = 3 WHERE {at(chains, 6)}")
    assert verify() == [(3, "it does not follow the record before it")]


def test_a_cut_end_is_found_by_the_exported_heads_alone(
    chains: CreatedTenant, tmp_path: Path
) -> None:
    with system_scope(purpose="test"):
        assert export_audit_heads(folder=tmp_path, now=clock.now()) == 3
    tamper(f"DELETE FROM tenants_auditrecord WHERE tenant_id = '{chains.id}' AND sequence >= 5")

    assert verify() == []
    (link,) = check(tmp_path).broken_links
    assert (link.tenant_id, link.sequence) == (chains.id, 5)
    assert link.fault.startswith("it was removed: the head exported at ")


def test_a_whole_chain_that_vanished_is_found(chains: CreatedTenant, tmp_path: Path) -> None:
    with system_scope(purpose="test"):
        export_audit_heads(folder=tmp_path, now=clock.now())
    tamper("DELETE FROM tenants_auditrecord WHERE tenant_id IS NULL")
    assert [(each.tenant_id, each.sequence) for each in check(tmp_path).broken_links] == [(None, 1)]


def test_a_chain_written_anew_is_found(chains: CreatedTenant, tmp_path: Path) -> None:
    with system_scope(purpose="test"):
        export_audit_heads(folder=tmp_path, now=clock.now())
    tamper(f"DELETE FROM tenants_auditrecord WHERE tenant_id = '{chains.id}'")
    records(chains, 7)
    assert verify() == []
    (link,) = check(tmp_path).broken_links
    assert (link.tenant_id, link.sequence) == (chains.id, 6)
    assert link.fault.startswith("it was rewritten")


def test_only_heads_that_moved_are_exported(chains: CreatedTenant, tmp_path: Path) -> None:
    with system_scope(purpose="test"):
        assert export_audit_heads(folder=tmp_path, now=clock.now()) == 3
    with system_scope(purpose="test"):
        assert export_audit_heads(folder=tmp_path, now=clock.now()) == 0
    records(chains, 1)
    with system_scope(purpose="test"):
        assert export_audit_heads(folder=tmp_path, now=clock.now()) == 1
    checked = check(tmp_path)
    assert (checked.files, checked.heads) == (2, 4)
    assert not checked.broken_files
    assert not checked.broken_links


def check(folder: Path) -> audit_heads.HeadCheck:
    with system_scope(purpose="test"):
        return check_audit_heads(folder=folder)


def three_files(tenant: CreatedTenant, folder: Path) -> list[Path]:
    for _ in range(3):
        records(tenant, 1)
        with system_scope(purpose="test"):
            export_audit_heads(folder=folder, now=clock.now())
    return sorted(folder.glob("*.ndjson"))


def test_a_file_that_was_changed_or_removed_is_named(chains: CreatedTenant, tmp_path: Path) -> None:
    first, second, third = three_files(chains, tmp_path)
    whole = second.read_bytes()
    second.chmod(0o600)
    for changed in (
        whole.replace(b'"sequence":8', b'"sequence":7'),
        whole[:-20],
        b"",
        b"{}\n{}\n",
        b"\xff",
    ):
        second.write_bytes(changed)
        assert second.name in {each.name for each in check(tmp_path).broken_files}
        with system_scope(purpose="test"), pytest.raises(RuntimeError, match="can't be trusted"):
            export_audit_heads(folder=tmp_path, now=clock.now())
    second.unlink()
    (broken,) = check(tmp_path).broken_files
    assert broken.name == third.name
    assert broken.fault == "the file before it is missing or another one"
    assert first.stat().st_mode & 0o777 == 0o440


def run_command(*arguments: str) -> tuple[int, dict[str, Any]]:
    out = io.StringIO()
    status = 0
    try:
        call_command("verify_audit", "--json", *arguments, stdout=out)
    except SystemExit as ended:
        status = int(ended.code or 0)
    return status, json.loads(out.getvalue())


def test_the_command_tells_the_first_bad_row(chains: CreatedTenant, settings_home: Path) -> None:
    with system_scope(purpose="test"):
        export_audit_heads(folder=audit_heads.heads_folder(), now=clock.now())
    status, told = run_command()
    assert (status, told["ok"], told["heads"]["heads"]) == (0, True, 3)
    tamper(f"DELETE FROM tenants_auditrecord WHERE {at(chains, 6)}")
    status, told = run_command()
    assert (status, told["ok"]) == (1, False)
    assert [(each["tenant_id"], each["sequence"]) for each in told["broken"]] == [
        (str(chains.id), 6)
    ]


@pytest.fixture
def settings_home(tmp_path: Path) -> Iterator[Path]:
    with override_settings(SUMMIT_HOME=tmp_path):
        yield tmp_path


def test_no_role_can_change_the_trail(chains: CreatedTenant) -> None:
    for alias in (JOBS, OWNER):
        for statement in (
            "UPDATE tenants_auditrecord SET actor = 'x'",
            "DELETE FROM tenants_auditrecord",
            "TRUNCATE tenants_auditrecord",
            "DELETE FROM tenants_accessrecord",
        ):
            with pytest.raises(DatabaseError), transaction.atomic(using=alias):
                connections[alias].cursor().execute(statement)
    assert verify() == []


def test_a_record_belongs_into_its_changes_transaction() -> None:
    with pytest.raises(Invalid) as refused:
        audit.record(audit.Entry(tenant_id=None, actor="a", action="b"), now=clock.now())
    assert refused.value.code == "no_transaction"


def test_two_writers_of_one_chain_queue_up(chains: CreatedTenant) -> None:
    def write() -> None:
        for _ in range(10):
            records(chains, 1)
        connections.close_all()

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verify() == []
    with system_scope(purpose="test"):
        assert AuditRecord.objects.filter(tenant_id=chains.id).count() == 46


def test_the_heads_are_exported_every_day_by_a_job(
    chains: CreatedTenant, settings_home: Path
) -> None:
    assert "tenants.export_audit_heads" in {each.name for each in schedules()}
    with system_scope(purpose="test"):
        enqueue(kind="tenants.export_audit_heads", key="test", payload={})
    run_pending(kinds=["tenants.export_audit_heads"], now=clock.now())
    checked = check(settings_home / "audit-heads")
    # The job itself opens the cross-tenant door, which is no record of the trail.
    assert (checked.files, checked.heads) == (1, 3)
