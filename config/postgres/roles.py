"""Names and passwords of the three database roles, all derived from ``DATABASE_URL``.

The owner is the role of the URL. The restricted role of web and API is ``<database>_web``, the
cross-tenant role of the jobs is ``<database>_jobs``: named after the database, because roles belong
to the whole server and several copies of Summit may share one. Their passwords are derived from
SECRET_KEY, so that every process can compute them and none is stored.
"""

import functools
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from work.connections import DEFAULT, JOBS, OWNER


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the database is, and the owner's credentials."""

    host: str
    port: str
    database: str
    owner: str
    owner_password: str
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    user: str
    password: str


def parse(url: str) -> Address:
    """The parts of ``postgres[ql]://user:password@host:port/database?option=…``.

    Raises ImproperlyConfigured when it is not such a URL.
    """
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    database = unquote(parts.path.lstrip("/"))
    if parts.scheme not in {"postgres", "postgresql"} or not database or not parts.username:
        raise ImproperlyConfigured(
            "DATABASE_URL must look like postgresql://owner:password@host:5432/database"
        )
    return Address(
        host=options.pop("host", "") or unquote(parts.hostname or ""),
        port=str(parts.port or options.pop("port", "")),
        database=database,
        owner=unquote(parts.username),
        owner_password=unquote(parts.password or ""),
        options=options,
    )


@functools.cache
def address() -> Address:
    """The database of this process; starts the embedded server when no URL is set."""
    if settings.DATABASE_URL:
        return parse(settings.DATABASE_URL)
    from config.embedded import postgres

    return parse(postgres.ensure_running(settings.SUMMIT_HOME))


def web_role(database: str) -> str:
    return f"{database}_web"


def jobs_role(database: str) -> str:
    return f"{database}_jobs"


def password_of(role: str) -> str:
    """The password of a derived role: HMAC-SHA-256 of its name under SECRET_KEY, in hex."""
    key = settings.SECRET_KEY.encode()
    return hmac.new(key, b"database role\x00" + role.encode(), hashlib.sha256).hexdigest()


def credentials(*, alias: str, address: Address) -> Credentials:
    """Who connects on `alias`."""
    if alias == OWNER:
        return Credentials(user=address.owner, password=address.owner_password)
    role = {DEFAULT: web_role, JOBS: jobs_role}[alias](address.database)
    return Credentials(user=role, password=password_of(role))
