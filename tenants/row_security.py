"""Row security: the one place that makes roles, grants and policies, and checks that they hold.

Rules:

- Every table with a ``tenant_id`` (and the tenants' table itself, by its ``id``) has row security
  enabled and forced. Unset tenant: no rows, and inserts fail.
- The restricted role sees one tenant; the jobs role has a policy of its own that shows all. Neither
  owns a table, is a superuser or has BYPASSRLS, and neither can become the other.
- What a role may do with a table is told by the model: ``web_access`` and ``jobs_access`` are one of
  the keys of `_PRIVILEGES`, and "write" where the model says nothing. Columns that the restricted
  role may change in rows that it may otherwise only read stand in ``web_may_update``.

`apply` is idempotent and runs after every migration, so a new table can't be without its policy.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.models import Model
from psycopg2 import sql

from work.connections import OWNER

_PRIVILEGES = {
    "none": (),
    "read": ("SELECT",),
    "insert": ("INSERT",),
    "append": ("SELECT", "INSERT"),
    "keep": ("SELECT", "INSERT", "DELETE"),
    "edit": ("SELECT", "UPDATE"),
    "renew": ("SELECT", "INSERT", "UPDATE"),
    "write": ("SELECT", "INSERT", "UPDATE", "DELETE"),
}

# Dropped first, since CREATE OR REPLACE can't change what a function returns.
_LOOKUPS = """
DROP FUNCTION IF EXISTS tenants_find_api_key(text);
CREATE FUNCTION tenants_find_api_key(wanted text)
RETURNS TABLE (tenant_id uuid, timezone varchar, id uuid, secret_hash bytea, scope varchar,
               allowed_addresses jsonb, expires_at timestamptz, revoked_at timestamptz,
               last_used_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT k.tenant_id, t.timezone, k.id, k.secret_hash, k.scope, k.allowed_addresses,
           k.expires_at, k.revoked_at, k.last_used_at
      FROM {schema}.tenants_apikey k JOIN {schema}.tenants_tenant t ON t.id = k.tenant_id
     WHERE k.public_id = wanted
$$;
DROP FUNCTION IF EXISTS tenants_memberships_of(bigint);
CREATE FUNCTION tenants_memberships_of(wanted bigint)
RETURNS TABLE (tenant_id uuid, tenant_key varchar, tenant_name varchar, role varchar)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT m.tenant_id, t.key, t.name, m.role
      FROM {schema}.tenants_member m JOIN {schema}.tenants_tenant t ON t.id = m.tenant_id
     WHERE m.user_id = wanted ORDER BY t.name, t.key
$$;
"""
DEFINER_FUNCTIONS = {
    "tenants_find_api_key": "text",
    "tenants_memberships_of": "bigint",
}
"""The only functions that look across tenants for the restricted role: a key by its random public
id, and the memberships of a person who has signed in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolePasswords:
    """The two derived roles of one database."""

    web: str
    web_password: str
    jobs: str
    jobs_password: str


def tenant_column(model: type[Model]) -> str | None:
    """The column by which the model's rows belong to a tenant; None for the deployment's own."""
    if model._meta.label_lower == "tenants.tenant":
        return "id"
    columns = {field.column for field in model._meta.concrete_fields}
    return "tenant_id" if "tenant_id" in columns else None


def apply(*, roles: RolePasswords) -> None:
    """Make the roles, grants and policies of every table as the models tell them; runs as owner."""
    with connections[OWNER].cursor() as cursor:
        cursor.execute("SELECT current_schema(), current_user, current_database()")
        schema, owner, database = cursor.fetchone()
        # Roles belong to the whole server: two set-ups at once would race on them.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('summit roles', 0))")
        for name, password in (
            (roles.web, roles.web_password),
            (roles.jobs, roles.jobs_password),
        ):
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name])
            verb = "ALTER" if cursor.fetchone() else "CREATE"
            cursor.execute(
                sql.SQL(verb + " ROLE {} LOGIN NOCREATEDB NOCREATEROLE PASSWORD {}").format(
                    sql.Identifier(name), sql.Literal(password)
                )
            )
        role_names = sql.SQL(", ").join(map(sql.Identifier, (roles.web, roles.jobs)))
        cursor.execute(
            sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(
                sql.Identifier(database), role_names
            )
        )
        cursor.execute(
            sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(schema), role_names)
        )
        # PostgreSQL before 15 lets everybody create tables in the public schema.
        cursor.execute(
            sql.SQL("REVOKE CREATE ON SCHEMA {} FROM PUBLIC").format(sql.Identifier(schema))
        )
        for model in apps.get_models(include_auto_created=True):
            if model._meta.managed and not model._meta.proxy:
                _secure(cursor, model=model, owner=owner, roles=roles)
        _make_lookups(cursor, schema=schema, roles=roles)


def _secure(cursor: object, *, model: type[Model], owner: str, roles: RolePasswords) -> None:
    execute = cursor.execute  # type: ignore[attr-defined]  # Django's cursor wrapper
    table = sql.Identifier(model._meta.db_table)
    for role, access in (
        (roles.web, getattr(model, "web_access", "write")),
        (roles.jobs, getattr(model, "jobs_access", "write")),
    ):
        execute(sql.SQL("REVOKE ALL ON {} FROM {}").format(table, sql.Identifier(role)))
        privileges = _PRIVILEGES[access]
        if privileges:
            execute(
                sql.SQL("GRANT " + ", ".join(privileges) + " ON {} TO {}").format(
                    table, sql.Identifier(role)
                )
            )
    changeable = getattr(model, "web_may_update", ())
    if changeable:
        columns = sql.SQL(", ").join(map(sql.Identifier, changeable))
        execute(
            sql.SQL("GRANT UPDATE ({}) ON {} TO {}").format(
                columns, table, sql.Identifier(roles.web)
            )
        )
    for field in model._meta.concrete_fields:
        if field.db_returning and field.get_internal_type() in {"AutoField", "BigAutoField"}:
            execute(
                "SELECT pg_get_serial_sequence(%s, %s)",
                [f'"{model._meta.db_table}"', field.column],
            )
            (sequence,) = cursor.fetchone()  # type: ignore[attr-defined]
            if sequence:
                schema_name, _, name = sequence.partition(".")
                execute(
                    sql.SQL("GRANT USAGE ON SEQUENCE {} TO {}, {}").format(
                        sql.Identifier(schema_name, name.strip('"')),
                        sql.Identifier(roles.web),
                        sql.Identifier(roles.jobs),
                    )
                )
    column = tenant_column(model)
    if column is None:
        return
    execute(sql.SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY").format(table))
    execute(sql.SQL("ALTER TABLE {} FORCE ROW LEVEL SECURITY").format(table))
    own = sql.SQL("{} = nullif(current_setting('app.tenant', true), '')::uuid").format(
        sql.Identifier(column)
    )
    _make_policy(execute, "tenant_isolation", table=table, to=[roles.web], using=own, check=own)
    execute(
        "SELECT EXISTS (SELECT FROM pg_policy WHERE polrelid = %s::regclass AND polname = %s)",
        [model._meta.db_table, _CROSS_TENANT_INSERT],
    )
    (is_guarded,) = cursor.fetchone()  # type: ignore[attr-defined]
    _let_cross_tenants(execute, model=model, to=[roles.jobs, owner], is_guarded=is_guarded)


_CROSS_TENANT_INSERT: Final = "cross_tenant_insert"


def _let_cross_tenants(
    execute: Any, *, model: type[Model], to: Sequence[str], is_guarded: bool
) -> None:
    table = sql.Identifier(model._meta.db_table)
    everything = sql.SQL("true")
    if not is_guarded:
        _make_policy(
            execute, "cross_tenant", table=table, to=to, using=everything, check=everything
        )
        return
    may_insert = sql.SQL(getattr(model, "insert_where", "true"))
    may_change = sql.SQL(getattr(model, "change_where", "true"))
    _make_policy(execute, "cross_tenant", "SELECT", table=table, to=to, using=everything)
    _make_policy(execute, _CROSS_TENANT_INSERT, "INSERT", table=table, to=to, check=may_insert)
    _make_policy(
        execute,
        "cross_tenant_update",
        "UPDATE",
        table=table,
        to=to,
        using=may_change,
        check=may_insert,
    )
    _make_policy(execute, "cross_tenant_delete", "DELETE", table=table, to=to, using=may_change)


def _make_policy(
    execute: Any,
    name: str,
    command: str = "ALL",
    *,
    table: sql.Composable,
    to: Sequence[str],
    using: sql.Composable | None = None,
    check: sql.Composable | None = None,
) -> None:
    execute(sql.SQL("DROP POLICY IF EXISTS {} ON {}").format(sql.Identifier(name), table))
    statement = sql.SQL("CREATE POLICY {} ON {} FOR {} TO {}").format(
        sql.Identifier(name),
        table,
        sql.SQL(command),
        sql.SQL(", ").join(map(sql.Identifier, to)),
    )
    if using is not None:
        statement += sql.SQL(" USING ({})").format(using)
    if check is not None:
        statement += sql.SQL(" WITH CHECK ({})").format(check)
    execute(statement)


def guard_changes(cursor: Any, *, model: type[Model]) -> None:
    """Have policies refuse what a trigger can't any more, because the table is distributed; what the
    model says in ``insert_where`` and ``change_where`` counts for all roles but superusers."""
    if not (hasattr(model, "insert_where") or hasattr(model, "change_where")):
        return
    cursor.execute(
        "SELECT roles::text[] FROM pg_policies WHERE schemaname = current_schema()"
        " AND tablename = %s AND policyname = 'cross_tenant'",
        [model._meta.db_table],
    )
    (names,) = cursor.fetchone()
    _let_cross_tenants(cursor.execute, model=model, to=names, is_guarded=True)


def roles_of(cursor: Any, *, table: str) -> list[str]:
    """The roles that the table's policies name: those that `apply` was told, and the owner."""
    cursor.execute(
        "SELECT DISTINCT unnest(roles)::text FROM pg_policies"
        " WHERE schemaname = current_schema() AND tablename = %s ORDER BY 1",
        [table],
    )
    return [name for (name,) in cursor.fetchall()]


def _make_lookups(cursor: object, *, schema: str, roles: RolePasswords) -> None:
    execute = cursor.execute  # type: ignore[attr-defined]  # Django's cursor wrapper
    execute("SELECT to_regclass('tenants_apikey'), to_regclass('tenants_member')")
    if None in cursor.fetchone():  # type: ignore[attr-defined]
        return
    execute(_LOOKUPS.format(schema=f'"{schema}"'))
    for name, arguments in DEFINER_FUNCTIONS.items():
        function = sql.SQL("{}({})").format(sql.Identifier(name), sql.SQL(arguments))
        execute(sql.SQL("REVOKE ALL ON FUNCTION {} FROM PUBLIC").format(function))
        execute(
            sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}, {}").format(
                function, sql.Identifier(roles.web), sql.Identifier(roles.jobs)
            )
        )


def unprotected_tables(cursor: object) -> Iterable[str]:
    """Tables of tenants whose row security does not hold for the role that asks.

    A partition with which the role may do nothing shows it nothing, nor does one that was detached to be
    dropped or is not attached yet, told by its name. Any other table must have row security enabled and
    forced, and exactly one policy that concerns the role:
    the isolation policy, with both clauses. Policies are joined by OR, so any other one would let
    more through.
    """
    cursor.execute(  # type: ignore[attr-defined]  # Django's cursor wrapper
        """
        SELECT c.relname
          FROM pg_class c
          JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = current_schema()
         WHERE c.relkind IN ('r', 'p')
           AND (c.relname = 'tenants_tenant' OR EXISTS (
                 SELECT 1 FROM pg_attribute a
                  WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped))
           AND NOT (
                 NOT has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE')
                 AND (c.relispartition OR EXISTS (
                       SELECT 1 FROM pg_class parent
                        WHERE parent.relnamespace = c.relnamespace AND parent.relkind = 'p'
                          AND starts_with(c.relname, parent.relname || '_'))))
           AND NOT (c.relrowsecurity AND c.relforcerowsecurity AND coalesce((
                 SELECT count(*) = 1 AND bool_and(
                            p.polname = 'tenant_isolation' AND p.polcmd = '*'
                            AND pg_get_expr(p.polqual, c.oid) LIKE %s
                            AND pg_get_expr(p.polwithcheck, c.oid)
                                = pg_get_expr(p.polqual, c.oid))
                   FROM pg_policy p
                  WHERE p.polrelid = c.oid AND p.polpermissive
                    AND (0 = ANY (p.polroles) OR EXISTS (
                          SELECT 1 FROM unnest(p.polroles) AS named(role)
                           WHERE named.role <> 0 AND pg_has_role(named.role, 'MEMBER')))), false))
         ORDER BY 1
        """,
        ["%current_setting('app.tenant'::text, true)%"],
    )
    return [name for (name,) in cursor.fetchall()]  # type: ignore[attr-defined]


def refuse_unless_restricted(*, alias: str) -> None:
    """Refuse to start when the role of `alias` could look past row security.

    Raises ImproperlyConfigured when it is a superuser, has BYPASSRLS, may create roles, owns
    anything, may become another role, may create tables, or when row security does not hold for it
    on a table of tenants.
    """
    with connections[alias].cursor() as cursor:
        cursor.execute(
            """
            SELECT current_user, r.rolsuper, r.rolbypassrls, r.rolcreaterole,
                   EXISTS (SELECT 1 FROM pg_class c WHERE c.relowner = r.oid
                                                      AND c.relpersistence <> 't'),
                   EXISTS (SELECT 1 FROM pg_auth_members m WHERE m.member = r.oid),
                   has_schema_privilege(current_schema(), 'CREATE')
              FROM pg_roles r WHERE r.rolname = current_user
            """
        )
        name, superuser, bypasses, creates_roles, owns, is_member, creates = cursor.fetchone()
        reasons = [
            reason
            for reason, holds in (
                ("is a superuser", superuser),
                ("has BYPASSRLS", bypasses),
                ("may create roles", creates_roles),
                ("owns tables", owns),
                ("is a member of another role", is_member),
                ("may create tables", creates),
            )
            if holds
        ]
        if reasons:
            raise ImproperlyConfigured(
                f"The web's database role {name!r} {' and '.join(reasons)}, so row security would "
                "not hold. Run `manage.py setup_database`, which makes the restricted role."
            )
        unprotected = list(unprotected_tables(cursor))
        if unprotected:
            raise ImproperlyConfigured(
                f"Tables whose row security does not hold for {name!r}: "
                + ", ".join(unprotected)
                + ". Run `manage.py setup_database`."
            )
