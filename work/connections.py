"""Which database role the running code speaks as.

Three roles reach the same database, each through a Django alias of its own:

- ``owner``: the role of ``DATABASE_URL``; migrations and set-up only.
- ``default``: the restricted role of web and API. Row security shows it the rows of one
  tenant, the one that the transaction named, and none when it named none.
- ``jobs``: the cross-tenant role of scheduled jobs, commands and audited staff access.

The alias in force is a context variable, so that services and queries are written once and
never name an alias. Outside any scope it is ``default``: code that forgot to open a scope
sees nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.db import connections, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import Model

OWNER = "owner"
DEFAULT = "default"
JOBS = "jobs"

_alias: ContextVar[str] = ContextVar("summit_database_alias", default=DEFAULT)
_joining: ContextVar[bool] = ContextVar("summit_joining_one_transaction", default=False)
_inside_scope: ContextVar[bool] = ContextVar("summit_inside_joined_scope", default=False)


def current_alias() -> str:
    """The alias that queries of the running context use."""
    return _alias.get()


@contextmanager
def using_alias(alias: str) -> Iterator[None]:
    """Let queries inside the block use `alias`, without opening a transaction."""
    token = _alias.set(alias)
    try:
        yield
    finally:
        _alias.reset(token)


@contextmanager
def transaction_on(alias: str) -> Iterator[None]:
    """One outermost transaction on `alias`; queries inside the block use it.

    Raises RuntimeError when a transaction is open on the alias already: scopes do not nest,
    since a nested one could change whose rows are seen half-way through.

    Inside `joining_one_transaction` it is a savepoint of the one transaction on `jobs`, whatever the
    alias, and ends with the check of deferred constraints that a commit would make.
    """
    if _joining.get():
        with _savepoint():
            yield
        return
    with using_alias(alias), transaction.atomic(using=alias, durable=True):
        yield


@contextmanager
def joining_one_transaction() -> Iterator[None]:
    """Inside, every scope joins the transaction that is open on `jobs`; for `work.sandbox` alone."""
    token = _joining.set(True)
    try:
        yield
    finally:
        _joining.reset(token)


def in_sandbox() -> bool:
    """Whether the running code is in a sandbox, whose rows nobody ever gets to see."""
    return _joining.get()


@contextmanager
def _savepoint() -> Iterator[None]:
    if _inside_scope.get():
        raise RuntimeError("scopes do not nest, in a sandbox neither")
    token = _inside_scope.set(True)
    try:
        with using_alias(JOBS), transaction.atomic(using=JOBS):
            yield
            with connections[JOBS].cursor() as execution:
                execution.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
    finally:
        _inside_scope.reset(token)


def cursor() -> CursorWrapper:
    """A cursor of the alias in force, for set-based SQL."""
    return connections[current_alias()].cursor()


class ScopeRouter:
    """Sends every query to the alias in force; migrations run as the owner alone."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        return current_alias()

    def db_for_write(self, model: type[Model], **hints: Any) -> str:
        return current_alias()

    def allow_relation(self, first: Model, second: Model, **hints: Any) -> bool:
        # All aliases are one database.
        return True

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return db == OWNER
