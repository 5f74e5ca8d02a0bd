"""Making the database ready: schema, roles, grants, policies."""

import hashlib
import sys
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import connections, transaction
from psycopg2 import sql

from config.postgres import roles
from tenants import guard_functions, row_security
from work.connections import OWNER


def set_up(*, verbosity: int = 1) -> None:
    """Migrate as the owner, then make roles, grants and policies and fix what guards look at; safe to run again, also at once
    from two processes."""
    with connections[OWNER].cursor() as cursor:
        # A session lock on the owner's own direct connection: migrations commit in between.
        cursor.execute("SELECT pg_advisory_lock(hashtextextended('summit set-up', 0))")
        try:
            call_command(
                "migrate",
                database=OWNER,
                interactive=False,
                verbosity=verbosity,
                stdout=sys.stderr,  # progress; what a command says goes to stdout
            )
            database = roles.address().database
            web, jobs = roles.web_role(database), roles.jobs_role(database)
            with transaction.atomic(using=OWNER):
                row_security.apply(
                    roles=row_security.RolePasswords(
                        web=web,
                        web_password=roles.password_of(web),
                        jobs=jobs,
                        jobs_password=roles.password_of(jobs),
                    )
                )
                guard_functions.fix(cursor)
                cursor.execute(
                    "CREATE TABLE IF NOT EXISTS summit_schema"
                    " (one boolean PRIMARY KEY DEFAULT true CHECK (one), fingerprint text NOT NULL)"
                )
                cursor.execute(
                    "INSERT INTO summit_schema (fingerprint) VALUES (%s)"
                    " ON CONFLICT (one) DO UPDATE SET fingerprint = excluded.fingerprint",
                    [fingerprint()],
                )
                cursor.execute(
                    sql.SQL("GRANT SELECT ON summit_schema TO {}, {}").format(
                        sql.Identifier(web), sql.Identifier(jobs)
                    )
                )
        finally:
            cursor.execute("SELECT pg_advisory_unlock(hashtextextended('summit set-up', 0))")


def ensure_ready() -> None:
    """Set the database up when it is the embedded one, or empty; otherwise leave it as it is.

    A database of the operator's own that holds an older schema is not migrated behind his back:
    `manage.py setup_database` does that.
    """
    known = _known_fingerprint()
    embedded = not settings.DATABASE_URL
    if known is None or (embedded and known != fingerprint()):
        set_up(verbosity=0)


def is_current() -> bool:
    """Whether set-up would change nothing: the same migrations, models, grants and SECRET_KEY."""
    return _known_fingerprint() == fingerprint()


def _known_fingerprint() -> str | None:
    """What the last set-up left; None for an empty database, and empty where the roles are missing: they
    belong to the server, so that a restored dump comes without them."""
    with connections[OWNER].cursor() as cursor:
        cursor.execute("SELECT to_regclass('summit_schema')")
        known = None
        if cursor.fetchone()[0] is not None:
            database = roles.address().database
            cursor.execute(
                "SELECT fingerprint FROM summit_schema WHERE 2 ="
                " (SELECT count(*) FROM pg_roles WHERE rolname IN (%s, %s))",
                [roles.web_role(database), roles.jobs_role(database)],
            )
            (known,) = cursor.fetchone() or ("",)
    connections[OWNER].close()
    return known


def fingerprint() -> str:
    """Changes whenever a migration, a model's table, the row security or SECRET_KEY changes.

    The roles' passwords follow from SECRET_KEY, so that a new one needs a new set-up.
    """
    digest = hashlib.sha256(roles.password_of("fingerprint").encode())
    for config in sorted(apps.get_app_configs(), key=lambda each: each.label):
        root = Path(config.path)
        for path in sorted(root.rglob("migrations/*.py")):
            digest.update(path.name.encode() + path.read_bytes())
        for model in config.get_models(include_auto_created=True):
            access = [
                getattr(model, name, "")
                for name in (
                    *("web_access", "jobs_access", "web_may_update"),
                    *("insert_where", "change_where"),
                )
            ]
            digest.update(f"{model._meta.db_table} {access}".encode())
    for file in (row_security.__file__, guard_functions.__file__):
        digest.update(Path(file).read_bytes())
    return digest.hexdigest()


def refuse_unless_restricted() -> None:
    """The web's start-up check; see `tenants.row_security.refuse_unless_restricted`."""
    row_security.refuse_unless_restricted(alias="default")
