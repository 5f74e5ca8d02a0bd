"""The stored events, one a row, as SQL reads them."""

from typing import Final

EVENTS: Final = """(
        SELECT stored.tenant_id, stored.received_at, stored.batch_id,
               coalesce(own.place, own.number::int) AS position, stored.app_id, stored.source,
               own.event_id, stored.type, own.occurred_at, stored.day,
               uuid_send(own.user_hash) AS user_hash, stored.kind, coalesce(own.count, 1) AS count,
               uuid_send(own.device_hash) AS device_hash, own.value
          FROM metering_event_group stored
         CROSS JOIN LATERAL unnest(
               stored.event_ids, stored.times, stored.users, stored.counts, stored.devices,
               stored.readings, stored.places) WITH ORDINALITY
               AS own (event_id, occurred_at, user_hash, count, device_hash, value, place, number)
        UNION ALL
        SELECT tenant_id, received_at, batch_id, position, app_id, source, event_id, type,
               occurred_at, day, user_hash, kind, count, device_hash, value
          FROM metering_event
    )"""
"""A subquery, to be given an alias: the events of `metering_event_group`, and of `metering_event`, where
those are that were stored before. No view, which in a sandbox would look past its tables."""


SORTS: Final = """(
        SELECT tenant_id, received_at, batch_id, app_id, day, type, kind FROM metering_event_group
        UNION ALL
        SELECT tenant_id, received_at, batch_id, app_id, day, type, kind FROM metering_event
    )"""
"""The same without what each event has of its own, so without looking at each."""


def groups_of(batches: str, *, within: str) -> str:
    """The groups of events of the batches that stand in the relation of that name with `tenant_id`,
    `received_at` and `batch_id`.

    A relation of its own in a statement (`AS MATERIALIZED`): beside other joins the planner takes the three
    equal columns for so rare that it compares each batch with each group. `within` bounds the arrival
    (`stored.received_at`), so that other months are not looked at.
    """
    return f"""(
        SELECT stored.*
          FROM {batches} JOIN metering_event_group stored USING (tenant_id, received_at, batch_id)
         WHERE {within}
    )"""  # noqa: S608  # nothing from outside


def events_of(batches: str, *, groups: str, condition: str = "true") -> str:
    """The same as `EVENTS`, of the batches alone that stand in the relation of that name, whose `groups_of`
    stand in another, and that meet a condition on the columns that they share (`stored`).

    Found before they are unfolded: a join with `EVENTS` would unfold all that is stored.
    """
    return f"""(
        SELECT stored.tenant_id, stored.received_at, stored.batch_id,
               coalesce(own.place, own.number::int) AS position, stored.app_id, stored.source,
               own.event_id, stored.type, own.occurred_at, stored.day,
               uuid_send(own.user_hash) AS user_hash, stored.kind, coalesce(own.count, 1) AS count,
               uuid_send(own.device_hash) AS device_hash, own.value
          FROM {groups} AS stored
         CROSS JOIN LATERAL unnest(
               stored.event_ids, stored.times, stored.users, stored.counts, stored.devices,
               stored.readings, stored.places) WITH ORDINALITY
               AS own (event_id, occurred_at, user_hash, count, device_hash, value, place, number)
         WHERE {condition}
        UNION ALL
        SELECT tenant_id, received_at, batch_id, position, app_id, source, event_id, type,
               occurred_at, day, user_hash, kind, count, device_hash, value
          FROM {batches} JOIN metering_event stored USING (tenant_id, received_at, batch_id)
         WHERE {condition}
    )"""  # noqa: S608  # nothing from outside
