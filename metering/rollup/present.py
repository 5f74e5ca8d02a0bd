"""Usage as it is now: with the events that are stored but not rolled up yet.

Daily usage follows the events by seconds. Who asks whether one more is allowed can't wait for that, so
what the pending batches would change is counted here from their events. Both are read in one
statement: a batch that is folded meanwhile counts once, in one place or the other.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from kernel.array_literals import text_array
from metering.ingest.stored import SORTS, events_of, groups_of
from metering.meters.domain import ACTIVE_USERS, Meter, Sort, counting_rules
from metering.meters.queries import find_meter, find_meters
from metering.rollup.identities import UserDays, different_users
from metering.rollup.queries import UsageRow, UsageSeries, rows_of, usage, with_borrowed
from metering.rollup.rules import COUNTED, FACTS, RULES, SUMS, rule_parameters
from work.connections import cursor

_OWN: Final = "stored.tenant_id = %(tenant)s::uuid"
_SINCE: Final = "stored.received_at >= (SELECT min(received_at) FROM pending)"
_PENDING: Final = f"""
    pending AS MATERIALIZED (
        SELECT tenant_id, id AS batch_id, received_at FROM metering_batch
         WHERE tenant_id = %(tenant)s::uuid AND rolled_up_at IS NULL
    ), lying AS MATERIALIZED {groups_of("pending", within=f"{_OWN} AND {_SINCE}")},
    facts AS MATERIALIZED (
        SELECT {FACTS} FROM {events_of("pending", groups="lying", condition=_OWN)} AS event
    ), {RULES}, {COUNTED}, marked AS (
        SELECT DISTINCT tenant_id, app_id, meter, day, marked AS identity FROM counted
         WHERE aggregation = 'distinct' AND marked IS NOT NULL
           AND day >= %(from)s AND day < %(to)s
    ), unmarked AS (
        SELECT * FROM marked
         WHERE NOT EXISTS (SELECT 1 FROM metering_active_user own
                            WHERE marked.meter = %(active_users)s
                              AND own.tenant_id = %(tenant)s::uuid AND own.app_id = marked.app_id
                              AND own.day = marked.day AND own.user_hash = marked.identity)
           AND NOT EXISTS (SELECT 1 FROM metering_mark own
                            WHERE own.tenant_id = %(tenant)s::uuid AND own.app_id = marked.app_id
                              AND own.meter = marked.meter AND own.day = marked.day
                              AND own.identity = marked.identity)
    )"""  # noqa: S608  # nothing from outside
"""The events of the batches that nobody folded yet, and the identities that they would mark."""


def present_usage(
    *, tenant_id: UUID, meters: Sequence[str], from_day: date, to_day: date
) -> list[UsageRow]:
    """What `usage` gives, `to_day` excluded, with everything counted that is committed.

    Raises Invalid `unknown_meter`.
    """
    wanted = find_meters(meters)
    sorts = _pending_sorts(tenant_id)
    if not sorts or not wanted:
        return usage(tenant_ids=[tenant_id], meters=meters, from_day=from_day, to_day=to_day)
    counted = _counted(wanted)
    with cursor() as execution:
        execution.execute(
            f"""
            WITH {_PENDING}, added AS (
                SELECT app_id, meter, day, '' AS kind, count(*)::numeric AS value
                  FROM unmarked GROUP BY app_id, meter, day
                UNION ALL
                SELECT app_id, meter, day, kind, value FROM ({SUMS}) AS sums
            ), highest AS (
                SELECT app_id, meter, day, kind, max(value) AS value
                  FROM counted WHERE aggregation = 'max' AND value IS NOT NULL
                 GROUP BY app_id, meter, day, kind
            ), latest AS (
                SELECT DISTINCT ON (app_id, meter, day, kind)
                       app_id, meter, day, kind, value, occurred_at, received_at, batch_id, position
                  FROM counted WHERE aggregation = 'latest' AND value IS NOT NULL
                 ORDER BY app_id, meter, day, kind, occurred_at DESC, received_at DESC,
                          batch_id DESC, position DESC
            ), newer AS (
                SELECT latest.app_id, latest.meter, latest.day, latest.kind, latest.value
                  FROM latest LEFT JOIN metering_reading kept
                         ON kept.tenant_id = %(tenant)s::uuid
                        AND (kept.app_id, kept.meter, kept.day, kept.kind)
                          = (latest.app_id, latest.meter, latest.day, latest.kind)
                 WHERE kept.app_id IS NULL
                    OR (latest.occurred_at, latest.received_at, latest.batch_id, latest.position)
                     > (kept.occurred_at, kept.received_at, kept.batch_id, kept.position)
            ), stored AS (
                SELECT app_id, meter, day, kind, sum(value) AS value FROM (
                    SELECT tenant_id, app_id, meter, day, kind, value FROM metering_daily_usage
                    UNION ALL
                    SELECT tenant_id, app_id, meter, day, kind, delta FROM metering_correction
                ) AS parts
                 WHERE tenant_id = %(tenant)s::uuid AND meter = ANY (%(meters)s::text[])
                   AND day >= %(from)s AND day < %(to)s
                 GROUP BY app_id, meter, day, kind
            )
            SELECT app_id, meter, kind, day, trim_scale(CASE
                       WHEN newer.value IS NOT NULL THEN newer.value
                       WHEN highest.value IS NOT NULL THEN greatest(highest.value, stored.value)
                       ELSE coalesce(stored.value, 0) + coalesce(added.value, 0) END)
              FROM stored
              FULL JOIN added USING (app_id, meter, day, kind)
              FULL JOIN highest USING (app_id, meter, day, kind)
              FULL JOIN newer USING (app_id, meter, day, kind)
             WHERE meter = ANY (%(meters)s::text[]) AND day >= %(from)s AND day < %(to)s
               AND (coalesce(stored.value, 0) + coalesce(added.value, 0) <> 0
                    OR meter = ANY (%(gauges)s::text[]))
             ORDER BY app_id, meter, day, kind
            """,  # noqa: S608  # nothing from outside
            {
                **_parameters(tenant_id, counted, sorts, from_day=from_day, to_day=to_day),
                "meters": text_array(sorted({meter.key for meter in (*wanted, *counted)})),
                "gauges": text_array(meter.key for meter in wanted if meter.is_gauge),
            },
        )
        values: dict[tuple[UUID, str, str], dict[date, Decimal]] = defaultdict(dict)
        for app_id, meter, kind, day, value in execution.fetchall():
            values[app_id, meter, kind][day] = value
    found = [
        UsageSeries(tenant_id=tenant_id, app_id=app_id, meter=meter, kind=kind, values=by_day)
        for (app_id, meter, kind), by_day in values.items()
    ]
    return rows_of(with_borrowed(found, wanted=wanted))


def present_users(
    *, tenant_id: UUID, meter: str, app_id: UUID | None, from_day: date, to_day: date
) -> int | None:
    """The different identities of an app (None: of all apps together) in the days together, `to_day`
    excluded, with everything counted that is committed.

    None where a day's value is not the number of its marks, so that they can't be told. Raises
    Invalid `unknown_meter`.
    """
    rule = find_meter(meter)
    asked = UserDays(tenant_id=tenant_id, meter=meter, stretches=((from_day, to_day),))
    sorts = _pending_sorts(tenant_id)
    if not sorts:
        found = {each.app_id: each.users for each in different_users(asked=[asked])}
        return found.get(app_id, 0)
    known = {each.app_id: each.users for each in different_users(asked=[asked])}
    if app_id in known and known[app_id] is None:
        return None
    counted = _counted([rule])
    with cursor() as execution:
        execution.execute(
            f"""
            WITH {_PENDING}
            SELECT count(DISTINCT identity) FROM (
                SELECT app_id, identity FROM marked WHERE meter = %(marks)s
                UNION ALL
                SELECT app_id, user_hash FROM metering_active_user
                 WHERE %(marks)s = %(active_users)s AND tenant_id = %(tenant)s::uuid
                   AND day >= %(from)s AND day < %(to)s
                UNION ALL
                SELECT app_id, identity FROM metering_mark
                 WHERE meter = %(marks)s AND tenant_id = %(tenant)s::uuid
                   AND day >= %(from)s AND day < %(to)s
            ) AS identities
             WHERE %(app)s::uuid IS NULL OR app_id = %(app)s::uuid
            """,  # noqa: S608  # nothing from outside
            {
                **_parameters(tenant_id, counted, sorts, from_day=from_day, to_day=to_day),
                "marks": rule.marks,
                "app": None if app_id is None else str(app_id),
            },
        )
        (users,) = execution.fetchone()
    return int(users)


def _pending_sorts(tenant_id: UUID) -> list[Sort]:
    """The sorts of the events that nobody folded yet; none where all are."""
    with cursor() as execution:
        # Planning the join over all months takes longer than the rest of a call that finds none.
        execution.execute(
            "SELECT EXISTS (SELECT 1 FROM metering_batch"
            " WHERE tenant_id = %s::uuid AND rolled_up_at IS NULL)",
            [str(tenant_id)],
        )
        (is_pending,) = execution.fetchone()
        if not is_pending:
            return []
        execution.execute(
            f"""
            SELECT DISTINCT type, kind
              FROM metering_batch batch
              JOIN {SORTS} AS sort
                ON sort.tenant_id = batch.tenant_id AND sort.received_at = batch.received_at
               AND sort.batch_id = batch.id
             WHERE batch.tenant_id = %(tenant)s::uuid AND rolled_up_at IS NULL
            """,  # noqa: S608  # nothing from outside
            {"tenant": str(tenant_id)},
        )
        return [Sort(*row) for row in execution.fetchall()]


def _counted(wanted: Sequence[Meter]) -> list[Meter]:
    """The meters that are rolled up for these: a meter that counts another's marks has none."""
    return find_meters(sorted({meter.marks for meter in wanted}))


def _parameters(
    tenant_id: UUID,
    meters: Sequence[Meter],
    sorts: Sequence[Sort],
    *,
    from_day: date,
    to_day: date,
) -> dict[str, Any]:
    return {
        **rule_parameters(counting_rules(meters=meters, sorts=sorts)),
        "active_users": ACTIVE_USERS,
        "tenant": str(tenant_id),
        "from": from_day,
        "to": to_day,
    }
