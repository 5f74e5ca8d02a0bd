"""Take in a file of usage: a stream of rows, a transaction for some thousands of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import BinaryIO, Final, Protocol
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from kernel.errors import DomainError
from metering.ingest.domain.events import Refusal, UsageEvent
from metering.ingest.domain.usage_files import (
    Form,
    ReadRow,
    RefusedRow,
    TornFile,
    lines_of,
    row_reader,
)
from metering.ingest.models import ImportedTenant
from metering.ingest.queries import apps_by_key, tenant_facts
from metering.ingest.services.admit import Submission, Teller, admit
from metering.meters.domain import MESSAGE_SENT
from tenants.scope import system_scope
from tenants.services.create_tenant import NewTenant, create_tenants
from work.connections import current_alias

SOURCE: Final = "import"
"""The source of all imported events, whatever the file: the same row in two files is one event."""

ROWS_AT_A_TIME: Final = 20_000
_MOST_REMEMBERED_APPS: Final = 20_000
_ACTOR: Final = "command:import_usage"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTenants:
    """How tenants of unknown apps are made; `plan_key` "" subscribes them to nothing."""

    timezone: str
    plan_key: str = ""


@dataclass(slots=True, kw_only=True)
class ImportResult:
    """How many rows were read and what became of them; `fault` tells why reading ended early."""

    read: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    codes: dict[str, int]
    """How many were rejected for which reason."""
    fault: TornFile | None = None


class SubscribeImported(Protocol):
    """What billing supplies by the setting SUMMIT_SUBSCRIBE_IMPORTED.

    Runs in the caller's cross-tenant transaction. Subscribes each tenant to the plan, calendar
    anchored, from its first day on. Raises NotFound for an unknown plan, also when no tenant is
    given.
    """

    def __call__(
        self, *, plan_key: str, first_days: Mapping[UUID, date], now: datetime
    ) -> object: ...


def import_usage(
    *,
    stream: BinaryIO,
    form: Form,
    columns: Sequence[str],
    new_tenants: NewTenants | None,
    now: datetime,
    on_progress: Callable[[ImportResult], None] = lambda _: None,
) -> ImportResult:
    """Take in every row of a file as a `message.sent` event of any age; opens its own scopes.

    Rows of an app that nobody has are rejected, or with `new_tenants` make a tenant and app of that
    key. What was read before a fault stays; the same file again gives duplicates. At the end all
    that is pending is rolled up by the caller. Tenants that an import made get its plan once a file
    was read to its end, also when an earlier run broke off.

    Raises NotFound when the plan is unknown, before anything is read.
    """
    plan_key = "" if new_tenants is None else new_tenants.plan_key
    if plan_key:
        with system_scope(purpose="import usage", actor=_ACTOR):
            _subscribe(plan_key=plan_key, first_days={}, now=now)
    apps = _Apps(new_tenants=new_tenants, now=now)
    result = ImportResult(codes={})
    rows: list[ReadRow] = []
    for block in _blocks(stream, form=form, columns=columns, result=result):
        rows += block
        while len(rows) >= ROWS_AT_A_TIME:
            _take_in(rows[:ROWS_AT_A_TIME], apps=apps, result=result, now=now)
            del rows[:ROWS_AT_A_TIME]
            on_progress(result)
    if rows:
        _take_in(rows, apps=apps, result=result, now=now)
        on_progress(result)
    if plan_key and result.fault is None:
        _subscribe_new_tenants(plan_key=plan_key, apps=apps, now=now)
    return result


def _blocks(
    stream: BinaryIO, *, form: Form, columns: Sequence[str], result: ImportResult
) -> Iterator[list[ReadRow]]:
    """The rows of the file; a fault of the file ends them and is noted."""
    rows_of = row_reader(form=form, columns=columns, source=SOURCE, event_type=MESSAGE_SENT)
    try:
        for lines in lines_of(stream, form=form):
            yield rows_of(lines)
    except TornFile as fault:
        result.fault = fault


def _take_in(
    rows: Sequence[ReadRow], *, apps: "_Apps", result: ImportResult, now: datetime
) -> None:
    with system_scope(purpose="import usage", actor=_ACTOR):
        apps.learn(rows)
        admitted = admit(
            submissions=[
                apps.submission(result.read + offset, row) for offset, row in enumerate(rows)
            ],
            now=now,
            check_age=False,
            wake=None,
        )
    result.read += len(rows)
    result.accepted += admitted.accepted
    result.duplicates += admitted.duplicates
    result.rejected += len(admitted.rejected)
    for item in admitted.rejected:
        result.codes[item.code] = result.codes.get(item.code, 0) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _KnownApp:
    teller: Teller
    app_id: UUID


class _Apps:
    """The apps that the file names: found, made, or refused; remembered from chunk to chunk."""

    def __init__(self, *, new_tenants: NewTenants | None, now: datetime) -> None:
        self._new_tenants = new_tenants
        self._now = now
        self._known: dict[str, _KnownApp | Refusal | None] = {}
        self._tellers: dict[UUID, Teller] = {}
        self.earliest: dict[UUID, datetime] = {}
        """The earliest event of each tenant of the file, for the first day of its plan."""

    def submission(self, index: int, row: ReadRow) -> Submission:
        """The row as it is submitted, with the app that it belongs to."""
        if not isinstance(row, UsageEvent):
            known = self._known.get(_app_of(row))
            return Submission(
                index=index,
                teller=known.teller if isinstance(known, _KnownApp) else None,
                refusal=row.refusal,
                content=row.content,
            )
        known = self._known[row.subject]
        if isinstance(known, _KnownApp):
            tenant_id = known.teller.tenant_id
            earliest = self.earliest.get(tenant_id)
            if earliest is None or row.time < earliest:
                self.earliest[tenant_id] = row.time
            return Submission(index=index, teller=known.teller, event=row, app_id=known.app_id)
        return Submission(index=index, teller=None, event=row, refusal=known)

    def learn(self, rows: Sequence[ReadRow]) -> None:
        """Find the apps that the rows name; make those of good rows where that is wanted."""
        if len(self._known) > _MOST_REMEMBERED_APPS:
            self._known.clear()
            self._tellers.clear()
        keys = {row.subject for row in rows if isinstance(row, UsageEvent)}
        refused = {_app_of(row) for row in rows if not isinstance(row, UsageEvent)} - {""}
        self._find((keys | refused) - self._known.keys())
        unknown = sorted(key for key in keys if self._known[key] is None)
        if unknown and self._new_tenants is not None:
            self._make(unknown, new_tenants=self._new_tenants)

    def _find(self, keys: set[str]) -> None:
        if not keys:
            return
        found = apps_by_key(keys=keys)
        missing = {app.tenant_id for app in found.values()} - self._tellers.keys()
        if missing:
            for facts in tenant_facts(tenant_ids=missing).values():
                self._tellers[facts.id] = Teller(facts)
        for key in keys:
            app = found.get(key)
            self._known[key] = (
                None
                if app is None
                else _KnownApp(teller=self._tellers[app.tenant_id], app_id=app.id)
            )

    def _make(self, keys: Sequence[str], *, new_tenants: NewTenants) -> None:
        wanted = [
            NewTenant(key=key, name=key, timezone=new_tenants.timezone, apps=[key]) for key in keys
        ]
        try:
            self._create(wanted, plan_key=new_tenants.plan_key)
        except DomainError:
            # One of them can't be made: find out which, and make the others.
            for each in wanted:
                try:
                    self._create([each], plan_key=new_tenants.plan_key)
                except DomainError as error:
                    # Another import may have been faster; then its app is the one that is wanted.
                    self._find({each.key})
                    if self._known[each.key] is None:
                        self._known[each.key] = Refusal(code=error.code, detail=error.message)

    def _create(self, wanted: Sequence[NewTenant], *, plan_key: str) -> None:
        with transaction.atomic(using=current_alias()):
            made = create_tenants(tenants=wanted, now=self._now, actor=_ACTOR)
            if plan_key:
                ImportedTenant.objects.bulk_create(
                    ImportedTenant(tenant_id=tenant.id, plan_key=plan_key, created_at=self._now)
                    for tenant in made
                )
        self._find({each.key for each in wanted})


def _app_of(row: RefusedRow) -> str:
    """The app that a refused row names, or ""."""
    app = (row.content or {}).get("app")
    return app if isinstance(app, str) and app.isprintable() else ""


def _subscribe_new_tenants(*, plan_key: str, apps: _Apps, now: datetime) -> None:
    """Subscribe the tenants of the file that an import made for this plan and that wait for it."""
    with system_scope(purpose="import usage", actor=_ACTOR):
        waiting = ImportedTenant.objects.filter(
            plan_key=plan_key, subscribed_at=None, tenant_id__in=list(apps.earliest)
        )
        facts = tenant_facts(tenant_ids=waiting.values_list("tenant_id", flat=True))
        first_days = {
            tenant_id: Teller(tenant).day_of(apps.earliest[tenant_id]).replace(day=1)
            for tenant_id, tenant in facts.items()
        }
        if first_days:
            _subscribe(plan_key=plan_key, first_days=first_days, now=now)
            waiting.update(subscribed_at=now)


def _subscribe(*, plan_key: str, first_days: Mapping[UUID, date], now: datetime) -> None:
    subscribe: SubscribeImported = import_string(settings.SUMMIT_SUBSCRIBE_IMPORTED)
    subscribe(plan_key=plan_key, first_days=first_days, now=now)
