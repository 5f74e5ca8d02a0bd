"""Row security, proved from the database's own catalogue: a new table can't be forgotten."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connections, transaction

from config import database
from config.postgres import roles
from tenants import row_security
from tenants.row_security import DEFINER_FUNCTIONS
from tenants.scope import tenant_scope
from tests import citus
from tests.api.world import World, rows_of
from work.connections import DEFAULT, JOBS, OWNER

REFUSED = "42501"  # insufficient_privilege, which the breach of a policy is too

PRIVILEGES = {
    "none": set(),
    "read": {"SELECT"},
    "insert": {"INSERT"},
    "append": {"SELECT", "INSERT"},
    "keep": {"SELECT", "INSERT", "DELETE"},
    "edit": {"SELECT", "UPDATE"},
    "renew": {"SELECT", "INSERT", "UPDATE"},
    "write": {"SELECT", "INSERT", "UPDATE", "DELETE"},
}

UNIQUE_BEYOND_THE_TENANT = {
    # key columns -> why they may be unique over the deployment
    ("tenants_tenant", "key"): "a tenant's own name",
    ("tenants_app", "key"): "contract: app keys are unique over the deployment (app_key_taken)",
    ("tenants_apikey", "public_id"): "random",
    ("billing_invoice", "number"): "one gapless series per seller",
    ("billing_creditnote", "number"): "one gapless series per seller",
    ("billing_payment", "gateway, external_id"): "one statement line is one payment",
    ("billing_paymentattempt", "gateway, intent_id"): "given by the gateway",
    ("billing_fapiao", "number"): "given by the tax platform",
}


def rows(sql: str, parameters: Any = None, *, alias: str = OWNER) -> list[Any]:
    with connections[alias].cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())


def tenant_tables() -> list[str]:
    """Every table whose rows belong to tenants. Partitions are reached through theirs alone: nobody
    has a grant on one (`test_grants_are_what_the_models_say_and_no_more`)."""
    found = rows(
        """
        SELECT c.relname FROM pg_class c
         WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
           AND NOT c.relispartition
           AND (c.relname = 'tenants_tenant' OR EXISTS (
                 SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid
                    AND a.attname = 'tenant_id' AND NOT a.attisdropped))
         ORDER BY 1
        """
    )
    return [name for (name,) in found]


def owning_column(table: str) -> str:
    return "id" if table == "tenants_tenant" else "tenant_id"


def model_access(table: str, attribute: str) -> str:
    for model in apps.get_models(include_auto_created=True):
        if model._meta.db_table == table:
            return str(getattr(model, attribute, "write"))
    return "read" if table == "summit_schema" else "none"


def role_names() -> tuple[str, str]:
    name = roles.address().database
    return roles.web_role(name), roles.jobs_role(name)


def error_code(error: BaseException) -> str:
    return str(getattr(error.__cause__, "pgcode", ""))


@pytest.fixture
def restored(worlds: tuple[World, World]) -> Iterator[None]:
    """What the test loosens is fastened again, which is also how an operator mends it."""
    yield
    database.set_up(verbosity=0)


def test_every_tenant_table_has_forced_row_security_with_both_clauses(
    worlds: tuple[World, World],
) -> None:
    web, jobs = role_names()
    tables = tenant_tables()
    assert len(tables) > 20
    found = {
        name: (enabled, forced)
        for name, enabled, forced in rows(
            "SELECT relname, relrowsecurity, relforcerowsecurity FROM pg_class"
            " WHERE relnamespace = current_schema()::regnamespace"
        )
    }
    assert [name for name in tables if found[name] != (True, True)] == []
    policies: dict[str, dict[str, Any]] = {name: {} for name in tables}
    for table, name, command, concerned, using, check in rows(
        "SELECT tablename, policyname, cmd, roles::text[], qual, with_check FROM pg_policies"
        " WHERE schemaname = current_schema()"
    ):
        policies[table][name] = (command, set(concerned), using, check)
    (owner,) = rows("SELECT current_user")[0]
    with connections[OWNER].cursor() as cursor:
        distributed = citus.distributed_tables(cursor)
    guards = {
        model._meta.db_table: tuple(
            getattr(model, name, "true") for name in ("insert_where", "change_where")
        )
        for model in apps.get_models()
        if model._meta.db_table in distributed
        and (hasattr(model, "insert_where") or hasattr(model, "change_where"))
    }
    for table in tables:
        own = (
            f"({owning_column(table)} = "
            "(NULLIF(current_setting('app.tenant'::text, true), ''::text))::uuid)"
        )
        assert policies[table].pop("tenant_isolation") == ("ALL", {web}, own, own), table
        insert, change = guards.get(table, ("", ""))
        several = {
            "cross_tenant": ("SELECT", {jobs, owner}, "true", None),
            "cross_tenant_insert": ("INSERT", {jobs, owner}, None, insert),
            "cross_tenant_update": ("UPDATE", {jobs, owner}, change, insert),
            "cross_tenant_delete": ("DELETE", {jobs, owner}, change, None),
        }
        one = {"cross_tenant": ("ALL", {jobs, owner}, "true", "true")}
        assert policies[table] == (several if table in guards else one), table


def test_the_roles_can_not_rise(worlds: tuple[World, World]) -> None:
    web, jobs = role_names()
    for name in (web, jobs):
        assert rows(
            "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication"
            "  FROM pg_roles WHERE rolname = %s",
            [name],
        ) == [(False, False, False, False, False)]
        assert (
            rows(
                "SELECT 1 FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member"
                " WHERE r.rolname = %s",
                [name],
            )
            == []
        )
        assert (
            rows(
                "SELECT 1 FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner"
                " WHERE r.rolname = %s AND c.relpersistence <> 't'",
                [name],
            )
            == []
        )
    (owner,) = rows("SELECT current_user")[0]
    for alias, others in ((DEFAULT, (jobs, owner)), (JOBS, (web, owner))):
        for other in others:
            for verb in ("SET ROLE", "SET SESSION AUTHORIZATION"):
                with pytest.raises(DatabaseError) as refused:
                    rows(f'{verb} "{other}"', alias=alias)
                assert error_code(refused.value) == REFUSED


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (id int)",
        "ALTER TABLE tenants_app DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE tenants_app NO FORCE ROW LEVEL SECURITY",
        "DROP POLICY tenant_isolation ON tenants_app",
        "CREATE POLICY more ON tenants_app USING (true)",
        "TRUNCATE billing_invoiceline",
        "ALTER ROLE CURRENT_USER BYPASSRLS",
        "GRANT SELECT ON tenants_app TO PUBLIC",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "SET session_replication_role = replica",
        "SELECT * FROM tenants_accessrecord",
        "COPY tenants_app FROM PROGRAM 'true'",
    ],
)
def test_what_the_restricted_role_may_not_do(worlds: tuple[World, World], statement: str) -> None:
    with pytest.raises(DatabaseError) as refused, transaction.atomic(using=DEFAULT):
        rows(statement, alias=DEFAULT)
    if not statement.startswith("GRANT"):
        assert error_code(refused.value) == REFUSED


def test_row_security_can_not_be_switched_off_by_a_setting(alpha: World) -> None:
    with (
        pytest.raises(DatabaseError, match="row-level security"),
        tenant_scope(alpha.tenant.id),
    ):
        rows("SET LOCAL row_security = off; SELECT count(*) FROM tenants_app", alias=DEFAULT)


def test_foreign_keys_between_tenants_tables_carry_the_tenant(
    worlds: tuple[World, World],
) -> None:
    tables = set(tenant_tables()) - {"tenants_tenant"}
    keys = rows(
        """
        SELECT k.conrelid::regclass::text, k.confrelid::regclass::text,
               array(SELECT a.attname::text FROM unnest(k.conkey) n
                       JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = n),
               array(SELECT a.attname::text FROM unnest(k.confkey) n
                       JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = n)
          FROM pg_constraint k
         WHERE k.contype = 'f' AND k.connamespace = current_schema()::regnamespace
        """
    )
    composite = {
        (source, target, frozenset(columns) - {"tenant_id"})
        for source, target, columns, pointed in keys
        if "tenant_id" in columns and "tenant_id" in pointed
    }
    lacking = [
        (source, columns, target)
        for source, target, columns, pointed in keys
        if {source, target} <= tables
        and "tenant_id" not in columns
        and (source, target, frozenset(columns)) not in composite
    ]
    assert lacking == []
    assert len(composite) >= 7


def test_metering_has_no_foreign_keys_out_of_itself(worlds: tuple[World, World]) -> None:
    assert (
        rows(
            "SELECT conname FROM pg_constraint WHERE contype = 'f'"
            " AND (conrelid::regclass::text LIKE 'metering%' OR confrelid::regclass::text LIKE"
            " 'metering%') AND NOT (conrelid::regclass::text LIKE 'metering%'"
            " AND confrelid::regclass::text LIKE 'metering%')"
        )
        == []
    )


def test_unique_keys_carry_the_tenant(worlds: tuple[World, World]) -> None:
    """A unique key over all tenants tells one tenant what another has."""
    found = rows(
        """
        SELECT c.relname::text,
               array(SELECT a.attname::text FROM unnest(i.indkey::smallint[]) n
                       JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = n)
          FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
         WHERE i.indisunique AND c.relname = ANY (%s)
        """,
        [tenant_tables()],
    )
    alone = {
        (table, ", ".join(columns))
        for table, columns in found
        if "tenant_id" not in columns and columns != ["id"]
    }
    assert alone == set(UNIQUE_BEYOND_THE_TENANT)


def test_grants_are_what_the_models_say_and_no_more(worlds: tuple[World, World]) -> None:
    web, jobs = role_names()
    granted: dict[tuple[str, str], set[str]] = {}
    for grantee, table, privilege in rows(
        """
        SELECT coalesce(r.rolname, 'PUBLIC'), c.relname, g.privilege_type
          FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) g
          LEFT JOIN pg_roles r ON r.oid = g.grantee
         WHERE c.relnamespace = current_schema()::regnamespace
           AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND g.grantee <> c.relowner
           AND c.oid NOT IN (SELECT objid FROM pg_depend WHERE deptype = 'e')
        """
    ):
        granted.setdefault((grantee, table), set()).add(privilege)
    tables = [
        (name, is_partition)
        for name, is_partition in rows(
            "SELECT relname, relispartition FROM pg_class"
            " WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')"
        )
    ]
    wanted: dict[tuple[str, str], set[str]] = {}
    for role, attribute in ((web, "web_access"), (jobs, "jobs_access")):
        for table, is_partition in tables:
            # Who may read a partition by itself goes past its parent's row security.
            access = "none" if is_partition else model_access(table, attribute)
            if PRIVILEGES[access]:
                wanted[(role, table)] = set(PRIVILEGES[access])
    assert granted == wanted


def test_the_web_may_settle_an_invoice_and_neither_make_nor_issue_one(alpha: World) -> None:
    web, _ = role_names()
    assert rows(
        """
        SELECT c.relname, array_agg(a.attname ORDER BY a.attname)::text[]
          FROM pg_attribute a CROSS JOIN LATERAL aclexplode(a.attacl) g
          JOIN pg_class c ON c.oid = a.attrelid JOIN pg_roles r ON r.oid = g.grantee
         WHERE c.relnamespace = current_schema()::regnamespace AND r.rolname = %s
           AND g.privilege_type = 'UPDATE'
         GROUP BY 1
        """,
        [web],
    ) == [
        # What became of a mail, but neither to whom it goes nor that it goes again.
        (
            "billing_documentmail",
            [
                *("attempts", "concluded_at", "failure_code", "failure_detail", "provider_id"),
                *("sent_at", "state"),
            ],
        ),
        ("billing_invoice", ["paid_at", "paid_minor", "status"]),
    ]
    for statement in (
        "UPDATE billing_invoice SET number = 'INV-1', total_minor = 1 WHERE status = 'draft'",
        "INSERT INTO billing_invoice SELECT * FROM billing_invoice LIMIT 1",
        "DELETE FROM billing_invoice WHERE status = 'draft'",
    ):
        with pytest.raises(DatabaseError) as refused, tenant_scope(alpha.tenant.id):
            rows(statement + " RETURNING 1", alias=DEFAULT)
        assert error_code(refused.value) == REFUSED


def test_grants_on_columns_are_what_the_models_say(worlds: tuple[World, World]) -> None:
    web, _ = role_names()
    granted = rows(
        """
        SELECT coalesce(r.rolname, 'PUBLIC'), c.relname, a.attname, g.privilege_type
          FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
          CROSS JOIN LATERAL aclexplode(a.attacl) g LEFT JOIN pg_roles r ON r.oid = g.grantee
         WHERE c.relnamespace = current_schema()::regnamespace AND g.grantee <> c.relowner
        """
    )
    assert set(granted) == {
        (web, model._meta.db_table, field.column, "UPDATE")
        for model in apps.get_models()
        for field in model._meta.concrete_fields
        if field.name in getattr(model, "web_may_update", ())
    }


def test_views_ask_as_the_reader_and_no_copy_holds_tenants_data(
    worlds: tuple[World, World],
) -> None:
    assert (
        rows(
            "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
            " AND (relkind = 'm' OR relkind = 'v'"
            " AND NOT coalesce('security_invoker=true' = ANY (reloptions), false))"
            " AND oid NOT IN (SELECT objid FROM pg_depend WHERE deptype = 'e')"
        )
        == []
    )


def test_only_the_listed_functions_look_past_row_security(worlds: tuple[World, World]) -> None:
    web, jobs = role_names()
    found = rows(
        """
        SELECT p.proname, p.proconfig::text[],
               array(SELECT coalesce(r.rolname, 'PUBLIC') FROM aclexplode(p.proacl) g
                       LEFT JOIN pg_roles r ON r.oid = g.grantee
                      WHERE g.grantee <> p.proowner ORDER BY 1)
          FROM pg_proc p
         WHERE p.pronamespace = current_schema()::regnamespace AND p.prosecdef
         ORDER BY 1
        """
    )
    assert {name for name, _, _ in found} == set(DEFINER_FUNCTIONS)
    for name, settings, may in found:
        assert settings == ["search_path=pg_catalog, pg_temp"], name
        assert may == sorted([web, jobs]), name


def test_without_a_tenant_nothing_is_seen(worlds: tuple[World, World]) -> None:
    readable = [
        table
        for table in tenant_tables()
        if "SELECT" in PRIVILEGES[model_access(table, "web_access")]
    ]
    for table in readable:
        assert rows(f"SELECT count(*) FROM {table}", alias=DEFAULT) == [(0,)], table
    # An empty setting is what SET LOCAL leaves behind on its connection.
    with transaction.atomic(using=DEFAULT):
        rows_before = connections[DEFAULT].cursor()
        rows_before.execute("SET LOCAL app.tenant = ''")
        for table in readable:
            assert rows(f"SELECT count(*) FROM {table}", alias=DEFAULT) == [(0,)], table


def test_a_tenant_sees_its_own_rows_and_no_others(alpha: World, bravo: World) -> None:
    seen: set[str] = set()
    for world in (alpha, bravo):
        for table in tenant_tables():
            if "SELECT" not in PRIVILEGES[model_access(table, "web_access")]:
                continue
            column = owning_column(table)
            ((expected,),) = rows(
                f"SELECT count(*) FROM {table} WHERE {column} = %s", [str(world.tenant.id)]
            )
            with tenant_scope(world.tenant.id):
                found = rows(f"SELECT {column}, count(*) FROM {table} GROUP BY 1", alias=DEFAULT)
            assert dict(found) == ({world.tenant.id: expected} if expected else {}), table
            if expected:
                seen.add(table)
    # The proof is worth what the two tenants have rows in.
    untold = set(tenant_tables()) - seen
    assert untold <= {
        "billing_expectedtotal",  # the web does not read what a dry run expects
        "billing_invoicefile",  # a file is made when it is asked for
        "billing_invoicerequest",  # the web does not read what two of our people decide
        "billing_invoicerequestline",
        "billing_legalhold",  # a tenant is not told of it
        "billing_paymentattempt",  # needs a gateway; tests of payments
        "metering_active_user",  # rolled up by a job
        "metering_event",  # of the version before
        "metering_event_key",
        "metering_gateway_tenant",  # for jobs alone; tests of reports
        "metering_mark",  # rolled up by a job
        "metering_month_day",
        "metering_month_user",
        "metering_reading",
        "metering_day_close",
        "metering_correction",
        "metering_imported_tenant",
        "metering_watermark",
        "metering_closed_until",  # of a cluster
        "metering_correction_request",  # the web does not read it
        "metering_proven_days",  # the web does not read it
        "metering_usage_recount",  # nor any of the recount
        "metering_recounted_days",
        "metering_corrected_recount",
        "metering_stated_usage",
        "tenants_idempotentrequest",  # only calls that carry a key
        "work_job",
    }, f"give the tenants of tests.api.world rows in {sorted(untold)}"


def a_row(table: str, tenant_id: UUID) -> dict[str, Any] | None:
    found = rows(
        f"SELECT to_jsonb(r) FROM {table} r WHERE {owning_column(table)} = %s LIMIT 1",
        [str(tenant_id)],
    )
    if not found:
        return None
    row = found[0][0]
    return dict(json.loads(row) if isinstance(row, str) else row)


def test_no_row_of_another_tenant_can_be_written(alpha: World, bravo: World) -> None:
    before = rows_of(bravo.tenant.id)
    tried = 0
    for table in tenant_tables():
        may = PRIVILEGES[model_access(table, "web_access")]
        foreign = a_row(table, bravo.tenant.id)
        if foreign is None:
            continue
        column = owning_column(table)
        if "INSERT" in may:
            # Not an exact copy: the policy must refuse it, not a unique key.
            with pytest.raises(DatabaseError) as refused, tenant_scope(alpha.tenant.id):
                rows(
                    f"INSERT INTO {table} SELECT (jsonb_populate_record(NULL::{table}, %s)).*"
                    " RETURNING 1",
                    [json.dumps(foreign)],
                    alias=DEFAULT,
                )
            assert error_code(refused.value) == REFUSED, (table, refused.value)
            tried += 1
        if "UPDATE" in may:
            with tenant_scope(alpha.tenant.id), connections[DEFAULT].cursor() as cursor:
                cursor.execute(
                    f"UPDATE {table} SET {column} = {column} WHERE {column} = %s",
                    [str(bravo.tenant.id)],
                )
                assert cursor.rowcount == 0, table
            if a_row(table, alpha.tenant.id) and table != "tenants_tenant":
                with pytest.raises(DatabaseError), tenant_scope(alpha.tenant.id):
                    rows(
                        f"UPDATE {table} SET {column} = %s RETURNING 1",
                        [str(bravo.tenant.id)],
                        alias=DEFAULT,
                    )
            tried += 1
        if "DELETE" in may:
            with tenant_scope(alpha.tenant.id), connections[DEFAULT].cursor() as cursor:
                cursor.execute(f"DELETE FROM {table} WHERE {column} = %s", [str(bravo.tenant.id)])
                assert cursor.rowcount == 0, table
            tried += 1
    assert tried >= 15
    assert rows_of(bravo.tenant.id) == before


def test_the_web_starts_as_the_restricted_role_only(worlds: tuple[World, World]) -> None:
    database.refuse_unless_restricted()
    with pytest.raises(ImproperlyConfigured, match="is a superuser"):
        row_security.refuse_unless_restricted(alias=OWNER)
    with pytest.raises(ImproperlyConfigured, match="does not hold"):
        row_security.refuse_unless_restricted(alias=JOBS)


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize(
    "loosened",
    [
        "ALTER TABLE tenants_app DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE tenants_app NO FORCE ROW LEVEL SECURITY",
        "DROP POLICY tenant_isolation ON tenants_app",
        "ALTER POLICY tenant_isolation ON tenants_app USING (true)",
        "ALTER POLICY tenant_isolation ON tenants_app WITH CHECK (true)",
    ],
)
def test_the_web_does_not_start_when_a_table_is_open_and_set_up_mends_it(loosened: str) -> None:
    with connections[OWNER].cursor() as cursor:
        cursor.execute(loosened)
    with pytest.raises(ImproperlyConfigured, match="tenants_app"):
        database.refuse_unless_restricted()
    database.set_up(verbosity=0)
    database.refuse_unless_restricted()


def test_the_web_does_not_start_with_a_second_policy_or_a_table_that_nobody_secured(
    worlds: tuple[World, World],
) -> None:
    with connections[OWNER].cursor() as cursor:
        cursor.execute("CREATE POLICY more ON tenants_app USING (true)")
        cursor.execute("CREATE TABLE forgotten (tenant_id uuid)")
        try:
            with pytest.raises(ImproperlyConfigured, match="forgotten, tenants_app"):
                database.refuse_unless_restricted()
        finally:
            cursor.execute("DROP TABLE forgotten; DROP POLICY more ON tenants_app")
    database.refuse_unless_restricted()
