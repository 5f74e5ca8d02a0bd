"""Fold stored events into daily usage: each batch once, however many runners there are."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import connections

from kernel.array_literals import plain_array
from metering.ingest.stored import events_of, groups_of
from metering.meters.domain import (
    ACTIVE_USERS,
    Aggregation,
    Meter,
    Quantity,
    Rule,
    Sort,
    Zone,
    counting_rules,
)
from metering.meters.queries import known_meters
from metering.rollup.rules import COUNTED, FACTS, RULES, SUMS, rule_parameters
from metering.scaleout.queries import is_distributed
from tenants.scope import system_scope
from work.connections import cursor

EVENTS_AT_A_TIME: Final = 200_000
"""One transaction folds batches of about so many events (and always one batch)."""
_BATCHES_AT_A_TIME: Final = 5_000

LATE: Final = "arrived after the day was closed"

_CLAIMED: Final = """
    claimed AS MATERIALIZED (
        SELECT * FROM unnest(%(tenants)s::uuid[], %(batches)s::uuid[], %(received)s::timestamptz[])
                   AS claimed (tenant_id, batch_id, received_at)
    )"""
_LYING: Final = f"""
    lying AS MATERIALIZED {groups_of("claimed", within="stored.received_at BETWEEN %(first)s AND %(last)s")}
"""
"""The claimed groups of events, as they lie."""
_COUNTED_SORTS: Final = "(stored.type, stored.kind) IN (SELECT type, kind FROM rules)"
_FACTS: Final = f"""
    facts AS MATERIALIZED (
        SELECT {FACTS} FROM {events_of("claimed", groups="lying", condition=_COUNTED_SORTS)} AS event
    )"""  # noqa: S608  # nothing from outside

_SIMPLE: Final = RULES.replace("%(rule_", "%(simple_").replace("rules AS", "simple AS", 1)
_GROUPED: Final = """
    grouped AS NOT MATERIALIZED (
        SELECT tenant_id, app_id, day, users, counts, meter, aggregation, kept
          FROM lying JOIN simple USING (type, kind)
         WHERE day >= from_day AND day < to_day
    )"""
"""Groups of events once for each simple rule that counts them, not unfolded; see `_is_simple`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Newer:
    """When a reading takes the place of another of its day, and the order that puts it first."""

    condition: str
    order: str


_LATEST: Final = "occurred_at DESC, received_at DESC, batch_id DESC, position DESC"
_READINGS: Final = {
    Aggregation.MAX: _Newer(
        condition="excluded.value > stored.value", order=f"value DESC, {_LATEST}"
    ),
    Aggregation.LATEST: _Newer(
        condition="(excluded.occurred_at, excluded.received_at, excluded.batch_id,"
        " excluded.position)"
        " > (stored.occurred_at, stored.received_at, stored.batch_id, stored.position)",
        order=_LATEST,
    ),
}
"""Arrival is the order of commits' instants; of two of one instant one always comes first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledUp:
    """What one step or one run folded."""

    batches: int
    events: int


def roll_up(
    *,
    now: datetime,
    tenant_ids: Sequence[UUID] | None = None,
    most_events: int | None = EVENTS_AT_A_TIME,
    wait: bool = False,
) -> RolledUp:
    """Fold pending batches in the caller's cross-tenant transaction; none left gives zeros.

    Marks, daily usage and the batches' own mark are one transaction, so that a batch counts exactly
    once. Usage of a closed day becomes a correction. Without `wait`, batches that another runner
    holds are passed over; with it, they are waited for. `tenant_ids` None means all tenants,
    `most_events` None all that is pending.

    Locks are taken in one order (watermarks, batches, marks, daily counts, readings, daily values of
    gauges; each by its key), so that runners don't deadlock.
    """
    with cursor() as execution:
        locks = _locks(execution, wait=wait)
        # Who wants all that is pending wants it of all tenants.
        most = None if most_events is None else _BATCHES_AT_A_TIME
        tenants = _tenants_locked(execution, tenant_ids=tenant_ids, most=most, locks=locks)
        if not tenants:
            return RolledUp(batches=0, events=0)
        batches = _marked(
            execution,
            _chosen(execution, tenants=tenants, most_events=most_events, locks=locks),
            now=now,
        )
        if batches:
            _fold(execution, batches=batches, now=now)
        return RolledUp(batches=len(batches), events=sum(batch.events for batch in batches))


def roll_up_pending(
    *, now: datetime, tenant_ids: Sequence[UUID] | None = None, runners: int = 1
) -> RolledUp:
    """Fold everything that was committed before, a transaction a step; opens its own scopes.

    When it returns, also the batches that another runner held at the start are counted. `runners`: so
    many at once, each with a connection of its own.
    """
    if runners == 1:
        return _fold_all(now=now, tenant_ids=tenant_ids)
    with system_scope(purpose="roll up usage"), cursor() as execution:
        # Committed first: made by the first runner, they would keep the others waiting for its end.
        locks = _locks(execution, wait=True)
        _tenants_locked(execution, tenant_ids=tenant_ids, most=_BATCHES_AT_A_TIME, locks=locks)
    with ThreadPoolExecutor(runners - 1) as pool:
        others = [
            pool.submit(_fold_beside, now=now, tenant_ids=tenant_ids) for _ in range(runners - 1)
        ]
        steps = [_fold_all(now=now, tenant_ids=tenant_ids), *(each.result() for each in others)]
    return RolledUp(
        batches=sum(step.batches for step in steps), events=sum(step.events for step in steps)
    )


def _fold_beside(*, now: datetime, tenant_ids: Sequence[UUID] | None) -> RolledUp:
    """Fold what nobody else holds, in a thread of its own."""
    batches = events = 0
    try:
        while True:
            with system_scope(purpose="roll up usage"):
                step = roll_up(now=now, tenant_ids=tenant_ids)
            if not step.batches:
                return RolledUp(batches=batches, events=events)
            batches += step.batches
            events += step.events
    finally:
        connections.close_all()  # this thread's


def _fold_all(*, now: datetime, tenant_ids: Sequence[UUID] | None) -> RolledUp:
    batches = events = 0
    wait = False
    while True:
        with system_scope(purpose="roll up usage"):
            step = roll_up(now=now, tenant_ids=tenant_ids, wait=wait)
            others_hold_some = not step.batches and not wait and _some_pending(tenant_ids)
        if others_hold_some:
            wait = True
        elif not step.batches:
            return RolledUp(batches=batches, events=events)
        batches += step.batches
        events += step.events


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    tenant_id: UUID
    id: UUID
    received_at: datetime
    events: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Locks:
    """How rows are held while batches are folded, as clauses of SQL."""

    watermarks: str
    batches: str


def _locks(execution: Any, *, wait: bool) -> _Locks:
    """On one node a batch is claimed by its own lock. Over a cluster no rows can be locked, so that a
    tenant's batches are claimed by its watermark, which is kept by the coordinator."""
    skip = "" if wait else "SKIP LOCKED"
    if is_distributed(execution):
        return _Locks(watermarks=f"FOR UPDATE {skip}", batches="")
    return _Locks(watermarks="FOR SHARE", batches=f"FOR UPDATE {skip}")


def _tenants_locked(
    execution: Any, *, tenant_ids: Sequence[UUID] | None, most: int | None, locks: _Locks
) -> list[UUID]:
    """Tenants with pending batches (with the first `most` of them; None: with any), their watermarks
    locked against being moved.

    Makes the missing ones first: a close must not slip in where there is no row to lock. Locks no
    batch yet, because a close holds the watermark when it waits for batches.
    """
    execution.execute(
        """
        SELECT DISTINCT tenant_id FROM (
            SELECT tenant_id FROM metering_batch
             WHERE rolled_up_at IS NULL
               AND (%(wanted)s::uuid[] IS NULL OR tenant_id = ANY (%(wanted)s::uuid[]))
             ORDER BY tenant_id, received_at, id
             LIMIT %(most)s
        ) AS pending ORDER BY tenant_id
        """,
        {
            "wanted": None if tenant_ids is None else plain_array(tenant_ids),
            "most": most,
        },
    )
    tenants = [tenant_id for (tenant_id,) in execution.fetchall()]
    if tenants:
        array = plain_array(tenants)
        execution.execute(
            "INSERT INTO metering_watermark (tenant_id)"
            " SELECT * FROM unnest(%s::uuid[]) ON CONFLICT DO NOTHING",
            [array],
        )
        execution.execute(
            f"""
            SELECT tenant_id FROM metering_watermark WHERE tenant_id = ANY (%s::uuid[])
             ORDER BY tenant_id {locks.watermarks}
            """,  # noqa: S608  # nothing from outside
            [array],
        )
        tenants = [tenant_id for (tenant_id,) in execution.fetchall()]
    return tenants


def _some_pending(tenant_ids: Sequence[UUID] | None) -> bool:
    with cursor() as execution:
        execution.execute(
            """
            SELECT EXISTS (
                SELECT 1 FROM metering_batch
                 WHERE rolled_up_at IS NULL
                   AND (%(wanted)s::uuid[] IS NULL OR tenant_id = ANY (%(wanted)s::uuid[])))
            """,
            {"wanted": None if tenant_ids is None else plain_array(tenant_ids)},
        )
        (some,) = execution.fetchone()
    return bool(some)


def _chosen(
    execution: Any, *, tenants: Sequence[UUID], most_events: int | None, locks: _Locks
) -> list[_Batch]:
    most: int | None = None
    if most_events is not None:
        # So many as the first ones' events allow: what is locked and not folded, nobody else can fold.
        execution.execute(
            """
            SELECT count(*) FILTER (WHERE events_before < %(events)s) FROM (
                SELECT sum(events) OVER (ORDER BY tenant_id, received_at, id) - events
                       AS events_before
                  FROM (SELECT * FROM metering_batch
                         WHERE rolled_up_at IS NULL AND tenant_id = ANY (%(tenants)s::uuid[])
                         ORDER BY tenant_id, received_at, id LIMIT %(most)s) AS first_ones
            ) AS summed
            """,
            {
                "tenants": plain_array(tenants),
                "events": most_events,
                "most": _BATCHES_AT_A_TIME,
            },
        )
        (most,) = execution.fetchone()
    execution.execute(
        f"""
        SELECT tenant_id, id, received_at, events FROM metering_batch
         WHERE rolled_up_at IS NULL AND tenant_id = ANY (%(tenants)s::uuid[])
         ORDER BY tenant_id, received_at, id
         LIMIT %(most)s {locks.batches}
        """,  # noqa: S608  # nothing from outside
        {
            "tenants": plain_array(tenants),
            "most": most,
        },
    )
    batches: list[_Batch] = []
    events = 0
    for tenant_id, batch_id, received_at, count in execution.fetchall():
        if batches and most_events is not None and events + count > most_events:
            break
        batches.append(
            _Batch(tenant_id=tenant_id, id=batch_id, received_at=received_at, events=count)
        )
        events += count
    return batches


def _marked(execution: Any, batches: Sequence[_Batch], *, now: datetime) -> list[_Batch]:
    """Mark the batches as folded; gives those that nobody had marked meanwhile."""
    if not batches:
        return []
    execution.execute(
        """
        UPDATE metering_batch batch SET rolled_up_at = %(now)s
          FROM unnest(%(tenants)s::uuid[], %(batches)s::uuid[]) AS chosen (tenant_id, id)
         WHERE batch.tenant_id = chosen.tenant_id AND batch.id = chosen.id
           AND batch.rolled_up_at IS NULL
        RETURNING batch.tenant_id, batch.id
        """,
        {
            "now": now,
            "tenants": plain_array(batch.tenant_id for batch in batches),
            "batches": plain_array(batch.id for batch in batches),
        },
    )
    ours = set(execution.fetchall())
    return [batch for batch in batches if (batch.tenant_id, batch.id) in ours]


def _fold(execution: Any, *, batches: Sequence[_Batch], now: datetime) -> None:
    # Marks are sorted before they are written; on the disk that would take as long as the writing.
    execution.execute("SET LOCAL work_mem = '64MB'")
    claimed = {
        "first": min(batch.received_at for batch in batches),
        "last": max(batch.received_at for batch in batches),
        "tenants": plain_array(batch.tenant_id for batch in batches),
        "batches": plain_array(batch.id for batch in batches),
        "received": plain_array(batch.received_at.isoformat() for batch in batches),
        "now": now,
    }
    execution.execute(
        f"""
        WITH {_CLAIMED}, {_LYING}
        SELECT type, kind FROM lying
        UNION
        SELECT type, kind FROM claimed JOIN metering_event USING (tenant_id, received_at, batch_id)
        """,  # noqa: S608  # nothing from outside
        claimed,
    )
    sorts = [Sort(*row) for row in execution.fetchall()]
    rules = counting_rules(meters=known_meters().values(), sorts=sorts)
    execution.execute(
        f"""
        WITH {_CLAIMED} SELECT EXISTS (
            SELECT 1 FROM claimed JOIN metering_event USING (tenant_id, received_at, batch_id))
        """,  # noqa: S608  # nothing from outside
        claimed,
    )
    (has_single_events,) = execution.fetchone()
    counts = [rule for rule in rules if not rule.meter.is_gauge]
    simple = [] if has_single_events else [rule for rule in counts if _is_simple(rule.meter)]
    _fold_counts(
        execution, claimed, rules=[rule for rule in counts if rule not in simple], simple=simple
    )
    for aggregation, is_newer in _READINGS.items():
        read = [rule for rule in rules if rule.meter.aggregation is aggregation]
        if read:
            _fold_readings(execution, claimed, rules=read, is_newer=is_newer)


def _is_simple(meter: Meter) -> bool:
    """Whether a meter needs no look at single events: only their users, or how many they stand for, of
    their local day."""
    if meter.zone is Zone.UTC:
        return False
    if meter.aggregation is Aggregation.DISTINCT:
        return meter.key == ACTIVE_USERS
    return meter.aggregation is Aggregation.COUNT or (
        meter.aggregation is Aggregation.SUM and meter.quantity is not Quantity.VALUE
    )


def _fold_counts(
    execution: Any,
    claimed: Mapping[str, Any],
    *,
    rules: Sequence[Rule],
    simple: Sequence[Rule],
) -> None:
    """Mark identities that are new on their day, and add them and the quantities to the days.

    `simple` are the rules that groups of events are counted by as they lie, `rules` the others.
    """
    execution.execute(
        f"""
        WITH {_CLAIMED}, {_LYING}, {RULES}, {_FACTS}, {COUNTED}, {_SIMPLE}, {_GROUPED}, active AS (
            INSERT INTO metering_active_user (tenant_id, app_id, day, user_hash)
            SELECT tenant_id, app_id, day, uuid_send(user_hash) FROM (
                SELECT DISTINCT tenant_id, app_id, day, user_hash FROM (
                    SELECT tenant_id, app_id, day, unnest(users) AS user_hash
                      FROM grouped WHERE meter = %(active_users)s
                    UNION ALL
                    SELECT tenant_id, app_id, day, encode(user_hash, 'hex')::uuid
                      FROM counted WHERE meter = %(active_users)s
                ) AS told
                 WHERE user_hash IS NOT NULL
                 ORDER BY tenant_id, app_id, day, user_hash
            ) AS different
            ON CONFLICT DO NOTHING
            RETURNING tenant_id, app_id, day
        ), marks AS (
            INSERT INTO metering_mark (tenant_id, app_id, meter, day, identity)
            SELECT DISTINCT tenant_id, app_id, meter, day, marked FROM counted
             WHERE aggregation = 'distinct' AND meter <> %(active_users)s AND marked IS NOT NULL
             ORDER BY tenant_id, app_id, meter, day, marked
            ON CONFLICT DO NOTHING
            RETURNING tenant_id, app_id, meter, day
        ), changes AS MATERIALIZED (
            SELECT tenant_id, app_id, %(active_users)s AS meter, day, '' AS kind, count(*) AS value
              FROM active GROUP BY tenant_id, app_id, day
            UNION ALL
            SELECT tenant_id, app_id, meter, day, '', count(*)
              FROM marks GROUP BY tenant_id, app_id, meter, day
            UNION ALL
            SELECT tenant_id, app_id, meter, day, kind, sum(value) FROM (
                {SUMS}
                UNION ALL
                SELECT tenant_id, app_id, meter, day, kept,
                       CASE WHEN aggregation = 'count' OR counts IS NULL THEN cardinality(users)
                            ELSE (SELECT sum(own) FROM unnest(counts) AS own) END
                  FROM grouped WHERE aggregation IN ('count', 'sum')
            ) AS quantities GROUP BY tenant_id, app_id, meter, day, kind
        ), corrected AS (
            INSERT INTO metering_correction (
                tenant_id, id, app_id, meter, day, kind, delta, recorded_at, reason)
            SELECT tenant_id, gen_random_uuid(), app_id, meter, day, kind, value, %(now)s, %(late)s
              FROM changes JOIN metering_watermark USING (tenant_id)
             WHERE day < closed_until
            RETURNING tenant_id
        )
        INSERT INTO metering_daily_usage AS stored (tenant_id, app_id, meter, day, kind, value)
        SELECT tenant_id, app_id, meter, day, kind, value
          FROM changes JOIN metering_watermark USING (tenant_id)
         WHERE closed_until IS NULL OR day >= closed_until
         ORDER BY tenant_id, app_id, meter, day, kind
        ON CONFLICT (tenant_id, app_id, meter, day, kind)
           DO UPDATE SET value = stored.value + excluded.value
        """,  # noqa: S608  # nothing from outside
        {
            **claimed,
            **rule_parameters(rules),
            **{
                name.replace("rule_", "simple_"): value
                for name, value in rule_parameters(simple).items()
            },
            "active_users": ACTIVE_USERS,
            "late": LATE,
        },
    )


def _fold_readings(
    execution: Any, claimed: Mapping[str, Any], *, rules: Sequence[Rule], is_newer: _Newer
) -> None:
    """Keep the readings that win their day, and let them be its value.

    A closed day is corrected by what the new value is more or less than the one before it.
    """
    execution.execute(
        f"""
        WITH {_CLAIMED}, {_LYING}, {RULES}, {_FACTS}, {COUNTED}, changes AS (
            INSERT INTO metering_reading AS stored (
                tenant_id, app_id, meter, day, kind, value, occurred_at, received_at, batch_id,
                position)
            SELECT DISTINCT ON (tenant_id, app_id, meter, day, kind)
                   tenant_id, app_id, meter, day, kind, value, occurred_at, received_at, batch_id,
                   position
              FROM counted WHERE value IS NOT NULL
             ORDER BY tenant_id, app_id, meter, day, kind, {is_newer.order}
            ON CONFLICT (tenant_id, app_id, meter, day, kind) DO UPDATE
               SET value = excluded.value, previous = stored.value,
                   occurred_at = excluded.occurred_at, received_at = excluded.received_at,
                   batch_id = excluded.batch_id, position = excluded.position
             WHERE {is_newer.condition}
            RETURNING tenant_id, app_id, meter, day, kind, value, previous
        ), corrected AS (
            INSERT INTO metering_correction (
                tenant_id, id, app_id, meter, day, kind, delta, recorded_at, reason)
            SELECT tenant_id, gen_random_uuid(), app_id, meter, day, kind,
                   value - coalesce(previous, 0), %(now)s, %(late)s
              FROM changes JOIN metering_watermark USING (tenant_id)
             WHERE day < closed_until AND value IS DISTINCT FROM previous
            RETURNING tenant_id
        )
        INSERT INTO metering_daily_usage (tenant_id, app_id, meter, day, kind, value)
        SELECT tenant_id, app_id, meter, day, kind, value
          FROM changes JOIN metering_watermark USING (tenant_id)
         WHERE closed_until IS NULL OR day >= closed_until
         ORDER BY tenant_id, app_id, meter, day, kind
        ON CONFLICT (tenant_id, app_id, meter, day, kind) DO UPDATE SET value = excluded.value
        """,  # noqa: S608  # nothing from outside
        {**claimed, **rule_parameters(rules), "late": LATE},
    )
