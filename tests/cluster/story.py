"""One story of usage, told to whichever database is configured, and every figure that comes of it.

`python -m tests.cluster.story` tells it to the database of the environment and prints the figures as JSON,
so that two kinds of database can be held side by side. Ids differ between two tellings, so tenants and
apps stand in the figures by their keys and users by how many they are.
"""

import io
import json
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from uuid import UUID

FROM_DAY: Final = date(2026, 3, 1)
TO_DAY: Final = date(2026, 4, 16)
CLOSE: Final = datetime(2026, 4, 10, 1, tzinfo=UTC)
NOW: Final = datetime(2026, 4, 14, 12, tzinfo=UTC)
_ROWS: Final = 4_000
_SENDERS: Final = 6

Figures = dict[str, Any]


def tell() -> Figures:
    """Import a log, send events, fold, close, be late, correct, set and recount; gives all figures."""
    from django.core.management import call_command

    from kernel import clock
    from metering.services import close_days, roll_up_pending
    from tenants.scope import system_scope

    with tempfile.TemporaryDirectory() as folder, clock.moved_to(CLOSE):
        log = Path(folder, "log.csv")
        log.write_text(_log(), encoding="utf-8")
        answers = [_imported(call_command, log), _imported(call_command, log)]
    roll_up_pending(now=CLOSE)
    answers += _send(now=CLOSE)
    with system_scope(purpose="story"):
        closed = close_days(now=CLOSE)
    answers += [{"closed": [closed.tenants, closed.days]}]
    answers += _send(now=NOW)
    roll_up_pending(now=NOW)
    _by_hand(now=NOW)
    with system_scope(purpose="story"):
        closed = close_days(now=NOW)
    answers += [{"closed": [closed.tenants, closed.days]}]
    return {"answers": answers, **_figures()}


def _log() -> str:
    chance = random.Random(7)
    rows = [
        f"app-{chance.randrange(12)},{chance.randrange(_ROWS * 9 // 10)},"
        f"{datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=chance.randrange(40 * 86400)):%Y-%m-%dT%H:%M:%SZ},"
        f"user-{chance.randrange(300)}"
        for _ in range(_ROWS)
    ]
    rows += ["app-1,torn,yesterday,user-1", "app-2,,2026-03-05T00:00:00Z,user-1"]
    return "\n".join(["app,id,time,user", *rows]) + "\n"


def _imported(call_command: Callable[..., Any], log: Path) -> Any:
    out = io.StringIO()
    with suppress(SystemExit):  # rows were rejected, as the document says
        call_command(
            "import_usage",
            str(log),
            "--columns=app,id,time,user",
            "--create-tenants",
            "--timezone=Asia/Shanghai",
            "--json",
            stdout=out,
        )
    return json.loads(out.getvalue())


def _send(*, now: datetime) -> list[Any]:
    """Requests of several tenants: some are sent again, some events are at fault, gauges among them."""
    from metering.services import ingest_events
    from tenants.models import App
    from tenants.scope import system_scope, tenant_scope

    chance = random.Random(int(now.timestamp()))
    with system_scope(purpose="story"):
        tenants = dict(App.objects.values_list("key", "tenant_id"))
    answers = []
    for number in range(_SENDERS):
        app = f"app-{number}"
        events = [
            {
                "specversion": "1.0",
                "id": f"{now:%d}-{chance.randrange(150)}",
                "source": "sdk",
                "type": chance.choice(["message.sent", "user.login", "connections.measured"]),
                "subject": chance.choice([app, app, app, "nobody"]),
                "time": (now - timedelta(minutes=chance.randrange(20_000))).isoformat(),
                "data": {
                    "user": f"user-{chance.randrange(60)}",
                    "kind": chance.choice(["single", "group"]),
                    "value": chance.randrange(50),
                },
            }
            for _ in range(200)
        ]
        for part in (events[:120], events[60:]):
            with tenant_scope(tenants[app]):
                result = ingest_events(tenant_id=tenants[app], events=part, now=now)
            codes = Counter(item.code for item in result.rejected)
            answers.append([app, result.accepted, result.duplicates, sorted(codes.items())])
    return answers


def _by_hand(*, now: datetime) -> None:
    from metering.services import rebuild_usage, set_usage
    from tenants.models import App
    from tenants.scope import system_scope

    with system_scope(purpose="story"):
        apps = {app.key: app for app in App.objects.all()}
        for key, day, value in (("app-3", 5, "17"), ("app-4", 20, "0"), ("app-5", 44, "8")):
            set_usage(
                tenant_id=apps[key].tenant_id,
                app_id=apps[key].id,
                meter="messages",
                day=FROM_DAY + timedelta(days=day),
                value=Decimal(value),
                now=now,
                reason="counted elsewhere",
            )
        rebuild_usage(tenant_id=apps["app-0"].tenant_id, from_day=FROM_DAY, to_day=TO_DAY, now=now)


def _figures() -> Figures:
    from metering import models
    from metering.proof.services.prove_days import prove_closed_days
    from metering.recount.services.recount_days import recount_closed_days
    from metering.rollup.services.gather_months import gather_months
    from tenants.models import App, Tenant
    from tenants.scope import system_scope

    proven = prove_closed_days(now=NOW)
    recounted = recount_closed_days(now=NOW)
    gathered = gather_months(now=NOW + timedelta(days=2), from_day=FROM_DAY)
    with system_scope(purpose="story"):
        keys: dict[UUID, str] = {
            **dict(Tenant.objects.values_list("id", "key")),
            **dict(App.objects.values_list("id", "key")),
        }
        usage = ("app_id", "meter", "day", "kind")
        return {
            "work": [proven.proofs, proven.marks, recounted.tenants, recounted.days, gathered],
            "daily": _rows(models.DailyUsage, keys, *usage, "value"),
            "corrections": _rows(models.Correction, keys, *usage, "delta", "reason"),
            "readings": _rows(models.Reading, keys, *usage, "value", "occurred_at"),
            "recounts": _rows(models.UsageRecount, keys, *usage, "value"),
            "closes": _rows(models.DayClose, keys, "tenant_id", "day", "rows"),
            "watermarks": _rows(models.Watermark, keys, "tenant_id", "closed_until", "moved_from"),
            "proofs": _rows(models.UsageProof, keys, *usage[:3], "version", "count"),
            "months": _rows(models.MonthDay, keys, "app_id", "day", "value", "added"),
            "marks": sorted(
                Counter(_rows(models.ActiveUser, keys, "app_id", "day", sort=False)).items()
            ),
            "users": sorted(
                Counter(_rows(models.MonthUser, keys, "app_id", "month", sort=False)).items()
            ),
            "batches": _rows(models.Batch, keys, "tenant_id", "events", "rolled_up_at"),
            "identities": models.EventIdentity.objects.count(),
            **_asked(keys),
        }


def _rows(
    model: Any, keys: dict[UUID, str], *names: str, sort: bool = True
) -> list[tuple[str, ...]]:
    rows = [tuple(_text(value, keys) for value in row) for row in model.objects.values_list(*names)]
    return sorted(rows) if sort else rows


def _text(value: Any, keys: dict[UUID, str]) -> str:
    if isinstance(value, UUID):
        return keys[value]
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    return str(value)


def _asked(keys: dict[UUID, str]) -> Figures:
    """What is told to those who ask: usage by hour, day and month, months' users, whether all agrees."""
    from metering.queries import (
        Granularity,
        changed_closed_days,
        shown_apps,
        usage_differences,
        usage_shown,
    )

    def told(rows: Iterable[Any]) -> list[tuple[str, ...]]:
        return sorted(
            (row.app, str(row.starts_at), _text(row.value, keys), str(row.state)) for row in rows
        )

    spans = {
        Granularity.HOUR: (date(2026, 4, 5), date(2026, 4, 15)),
        Granularity.DAY: (FROM_DAY, TO_DAY),
        Granularity.MONTH: (FROM_DAY, TO_DAY),
    }
    return {
        **{
            f"{meter} by {granularity}": told(
                usage_shown(
                    apps=shown_apps(),
                    meter=meter,
                    granularity=granularity,
                    from_day=from_day,
                    to_day=to_day,
                )
            )
            for granularity, (from_day, to_day) in spans.items()
            for meter in ("dau", "messages")
        },
        "changed": changed_closed_days(),
        "differences": [
            [keys[each.app_id], each.meter, str(each.day)]
            for each in usage_differences(from_day=FROM_DAY, to_day=TO_DAY)
        ],
    }


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from config import database

    database.set_up(verbosity=0)
    sys.stdout.write(json.dumps(tell(), default=str))
