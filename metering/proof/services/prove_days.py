"""Sign who was counted on closed days: all that are new by schedule, or one when it is asked for.

Small apps are read many at a time, a large one in a stream, so that memory does not grow with either.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import connections

from kernel.array_literals import plain_array, text_array
from kernel.errors import Conflict
from metering.ingest.domain.identity import user_key
from metering.ingest.queries import tenant_facts
from metering.meters.domain import ACTIVE_USERS
from metering.meters.queries import known_meters
from metering.proof.domain import Signer, Statement, Tree, TreeBuilder, key_check
from metering.proof.models import UsageProof
from metering.proof.queries import Proof, corrections_of, latest_proof, proof_of
from metering.rollup.queries import closed_until
from tenants.scope import system_scope
from work.connections import current_alias, cursor

_TENANTS_AT_A_TIME: Final = 500
_MARKS_AT_A_TIME: Final = 200_000
_LARGE: Final = 20_000
"""From how many marks on an app's day is read in a stream of its own."""
_ROWS_OF_STREAM: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenDaysCount:
    """How many proofs were made, and of how many marks."""

    proofs: int
    marks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Due:
    """An app's closed day that has no proof of its present state."""

    tenant_id: UUID
    app_id: UUID
    meter: str
    day: date
    version: int
    corrections: int
    marks: int
    """About how many: the day's value."""


def prove_closed_days(*, now: datetime) -> ProvenDaysCount:
    """Sign all closed days that are new since the last time, and those corrected since; opens its own
    scopes, one for some hundred tenants.

    Apps and days without a counted user get a proof only when it is asked for. Run twice, or by two at
    once, it makes nothing twice.
    """
    proofs = marks = 0
    while True:
        with system_scope(purpose="prove closed days"):
            tenants = _tenants_with_new_days()
            if not tenants:
                return ProvenDaysCount(proofs=proofs, marks=marks)
            due = _due(tenants)
            made = _prove(due, now=now)
            _note_progress(tenants)
        proofs += made.proofs
        marks += made.marks


def prove_day(*, tenant_id: UUID, app_id: UUID, meter: str, day: date, now: datetime) -> Proof:
    """The proof of a closed day as it stands, made if there is none yet; in the caller's scope.

    `meter` is the key under which the marks are kept. Raises Conflict `day_open`.
    """
    until = closed_until(tenant_ids=[tenant_id]).get(tenant_id)
    if until is None or day >= until:
        raise Conflict(
            "day_open",
            f"{day} is not closed yet, so who is counted may still change; ask again when it is.",
            field="day",
            params={"day": day},
        )
    known = latest_proof(tenant_id=tenant_id, app_id=app_id, meter=meter, day=day)
    # Counted before the marks are read: what comes between leads to a further version, not to a gap.
    corrections = corrections_of(tenant_id=tenant_id, app_id=app_id, meter=meter, day=day)
    if known is not None and known.corrections >= corrections:
        return known
    due = _Due(
        tenant_id=tenant_id,
        app_id=app_id,
        meter=meter,
        day=day,
        version=1 if known is None else known.statement.version + 1,
        corrections=corrections,
        marks=0,
    )
    row = _rows([(due, _streamed(due))], now=now)[0]
    UsageProof.objects.bulk_create([row], ignore_conflicts=True)
    # Another request may have been first; what is stored is what counts.
    made = latest_proof(tenant_id=tenant_id, app_id=app_id, meter=meter, day=day)
    return proof_of(row) if made is None else made


def _tenants_with_new_days() -> list[tuple[UUID, date | None, date]]:
    with cursor() as execution:
        execution.execute(
            """
            SELECT watermark.tenant_id, proven.proven_until, watermark.closed_until
              FROM metering_watermark watermark
              LEFT JOIN metering_proven_days proven USING (tenant_id)
             WHERE watermark.closed_until IS NOT NULL
               AND (proven.proven_until IS NULL OR proven.proven_until < watermark.closed_until)
             ORDER BY watermark.tenant_id LIMIT %s
            """,
            [_TENANTS_AT_A_TIME],
        )
        return [
            (UUID(str(tenant_id)), since, until) for tenant_id, since, until in execution.fetchall()
        ]


def _note_progress(tenants: Sequence[tuple[UUID, date | None, date]]) -> None:
    with cursor() as execution:
        execution.execute(
            """
            INSERT INTO metering_proven_days AS proven (tenant_id, proven_until)
            SELECT * FROM unnest(%(tenants)s::uuid[], %(until)s::date[]) ORDER BY 1
            ON CONFLICT (tenant_id) DO UPDATE
               SET proven_until = greatest(proven.proven_until, excluded.proven_until)
            """,
            _asked(tenants),
        )


def _asked(tenants: Sequence[tuple[UUID, date | None, date]]) -> dict[str, str]:
    return {
        "tenants": plain_array(tenant_id for tenant_id, _, _ in tenants),
        "since": plain_array(since or "-infinity" for _, since, _ in tenants),
        "until": plain_array(until for _, _, until in tenants),
    }


def _due(tenants: Sequence[tuple[UUID, date | None, date]]) -> list[_Due]:
    """New closed days of the tenants, and closed ones with more corrections than their latest proof knows,
    which knows more than those before it."""
    distinct = sorted(key for key, meter in known_meters().items() if meter.counts_users)
    with cursor() as execution:
        execution.execute(
            """
            WITH asked AS MATERIALIZED (
                SELECT * FROM unnest(%(tenants)s::uuid[], %(since)s::date[], %(until)s::date[])
                           AS asked (tenant_id, since, until)
            ), parts AS (
                SELECT tenant_id, app_id, meter, day, value, 0 AS corrections
                  FROM asked JOIN metering_daily_usage usage USING (tenant_id)
                 WHERE day >= since AND day < until AND meter = ANY (%(meters)s::text[])
                UNION ALL
                SELECT tenant_id, app_id, meter, day, delta, 1
                  FROM asked JOIN metering_correction correction USING (tenant_id)
                 WHERE day < until AND meter = ANY (%(meters)s::text[])
            ), days AS (
                SELECT tenant_id, app_id, meter, day, sum(value) AS value,
                       sum(corrections) AS corrections
                  FROM parts GROUP BY tenant_id, app_id, meter, day
            )
            SELECT days.tenant_id, days.app_id, days.meter, days.day,
                   coalesce(max(proof.version), 0) + 1, days.corrections,
                   greatest(days.value, 0)::bigint
              FROM days LEFT JOIN metering_usage_proof proof
                ON (proof.tenant_id, proof.app_id, proof.meter, proof.day)
                   = (days.tenant_id, days.app_id, days.meter, days.day)
             GROUP BY days.tenant_id, days.app_id, days.meter, days.day, days.corrections, days.value
            HAVING max(proof.version) IS NULL OR max(proof.corrections) < days.corrections
             ORDER BY days.tenant_id, days.app_id, days.meter, days.day
            """,
            {**_asked(tenants), "meters": text_array(distinct)},
        )
        return [
            _Due(
                tenant_id=UUID(str(tenant_id)),
                app_id=UUID(str(app_id)),
                meter=meter,
                day=day,
                version=version,
                corrections=corrections,
                marks=marks,
            )
            for tenant_id, app_id, meter, day, version, corrections, marks in execution.fetchall()
        ]


def _prove(due: Sequence[_Due], *, now: datetime) -> ProvenDaysCount:
    proofs = marks = 0
    small: list[_Due] = []
    waiting = 0
    for each in due:
        if each.marks >= _LARGE:
            rows = _rows([(each, _streamed(each))], now=now)
        else:
            small.append(each)
            waiting += each.marks
            if waiting < _MARKS_AT_A_TIME:
                continue
            rows = _rows(_gathered(small), now=now)
            small, waiting = [], 0
        proofs += _stored(rows)
        marks += sum(row.count for row in rows)
    rows = _rows(_gathered(small), now=now)
    return ProvenDaysCount(
        proofs=proofs + _stored(rows), marks=marks + sum(row.count for row in rows)
    )


def _stored(rows: Sequence[UsageProof]) -> int:
    kept = [row for row in rows if row.count]
    UsageProof.objects.bulk_create(kept, batch_size=1000, ignore_conflicts=True)
    return len(kept)


def _rows(trees: Sequence[tuple[_Due, Tree]], *, now: datetime) -> list[UsageProof]:
    master_key = settings.SUMMIT_HASH_KEY.encode()
    signer = _signer(master_key)
    facts = tenant_facts(tenant_ids={due.tenant_id for due, _ in trees})
    checks: Mapping[UUID, bytes] = {
        tenant_id: key_check(user_key(master_key=master_key, salt=tenant.hash_salt))
        for tenant_id, tenant in facts.items()
    }
    rows = []
    for due, tree in trees:
        if due.tenant_id not in facts:
            continue
        statement = Statement(
            tenant_id=due.tenant_id,
            app_id=due.app_id,
            meter=due.meter,
            day=due.day,
            timezone=facts[due.tenant_id].timezone,
            version=due.version,
            count=tree.count,
            root=tree.root,
            key_check=checks[due.tenant_id],
            made_at=now,
        )
        rows.append(
            UsageProof(
                tenant_id=due.tenant_id,
                app_id=due.app_id,
                meter=due.meter,
                day=due.day,
                version=due.version,
                timezone=statement.timezone,
                count=tree.count,
                root=tree.root,
                blocks=tree.packed_blocks(),
                corrections=due.corrections,
                key_check=statement.key_check,
                public_key=signer.public_key,
                signature=signer.sign(statement),
                made_at=now,
            )
        )
    return rows


@lru_cache(maxsize=2)
def _signer(master_key: bytes) -> Signer:
    return Signer(master_key=master_key)


def _gathered(due: Sequence[_Due]) -> list[tuple[_Due, Tree]]:
    """The trees of small apps' days, read in one statement for each kind of marks."""
    trees = []
    for of_active_users in (True, False):
        asked = [each for each in due if (each.meter == ACTIVE_USERS) is of_active_users]
        if not asked:
            continue
        with cursor() as execution:
            execution.execute(
                f"""
                SELECT asked.place,
                       string_agg({_column(of_active_users)}, ''::bytea
                                  ORDER BY {_column(of_active_users)}),
                       max(octet_length({_column(of_active_users)}))
                  FROM unnest(%(tenants)s::uuid[], %(apps)s::uuid[], %(meters)s::text[],
                              %(days)s::date[]) WITH ORDINALITY
                       AS asked (tenant_id, app_id, meter, day, place)
                  JOIN {_table(of_active_users)} mark
                    ON mark.tenant_id = asked.tenant_id AND mark.app_id = asked.app_id
                   AND {"true" if of_active_users else "mark.meter = asked.meter"}
                   AND mark.day = asked.day
                 GROUP BY mark.tenant_id, asked.place
                """,  # noqa: S608  # nothing from outside
                {
                    "tenants": plain_array(each.tenant_id for each in asked),
                    "apps": plain_array(each.app_id for each in asked),
                    "meters": text_array(each.meter for each in asked),
                    "days": plain_array(each.day for each in asked),
                },
            )
            read = {place: (bytes(joined), length) for place, joined, length in execution}
        for place, each in enumerate(asked, start=1):
            whole, length = read.get(place, (b"", 1))
            builder = TreeBuilder()
            builder.add(whole[start : start + length] for start in range(0, len(whole), length))
            trees.append((each, builder.tree()))
    return trees


def _streamed(due: _Due) -> Tree:
    """The tree of one app's day, read by a cursor in the server: one snapshot, and memory stays flat."""
    of_active_users = due.meter == ACTIVE_USERS
    builder = TreeBuilder()
    with connections[current_alias()].chunked_cursor() as execution:
        execution.itersize = _ROWS_OF_STREAM  # type: ignore[attr-defined]  # psycopg2's own
        execution.execute(
            f"""
            SELECT {_column(of_active_users)} FROM {_table(of_active_users)}
             WHERE tenant_id = %(tenant)s::uuid AND app_id = %(app)s::uuid
               AND {"true" if of_active_users else "meter = %(meter)s"} AND day = %(day)s
             ORDER BY {_column(of_active_users)}
            """,  # noqa: S608  # nothing from outside
            {
                "tenant": str(due.tenant_id),
                "app": str(due.app_id),
                "meter": due.meter,
                "day": due.day,
            },
        )
        builder.add(_first_column(execution))
    return builder.tree()


def _first_column(rows: Any) -> Iterator[bytes]:
    for (identity,) in rows:
        yield bytes(identity)


def _table(of_active_users: bool) -> str:
    return "metering_active_user" if of_active_users else "metering_mark"


def _column(of_active_users: bool) -> str:
    return "user_hash" if of_active_users else "identity"
