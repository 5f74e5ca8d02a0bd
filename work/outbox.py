"""The outbox: facts written with the change that made them true, then turned into jobs.

A message becomes one job for each subscriber of its topic, in the transaction that marks it as
relayed. So a crash at any point loses nothing and doubles nothing.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from kernel.array_literals import plain_array, text_array
from kernel.ids import new_id
from work import dispatch, registry
from work.bulk import insert_columns
from work.connections import JOBS, current_alias
from work.domain import Payload, check_payload
from work.enqueueing import JobRequest, insert_requests
from work.models import OutboxMessage

BATCH = 500

UNKNOWN_TOPIC_WAITS = timedelta(hours=1)
"""A topic that nobody listens to may be newer than this process: its messages wait so long for a
process that knows its subscribers, then count as relayed to nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """A fact to announce. The payload carries ids, not content."""

    topic: str
    key: str
    payload: Payload
    tenant_id: UUID | None = None
    version: int = 1


def publish(
    *,
    topic: str,
    key: str,
    payload: Payload,
    tenant_id: UUID | None = None,
    version: int = 1,
) -> None:
    """Announce a fact in the caller's transaction, once by (tenant, topic, key).

    Raises TypeError or ValueError for a payload that holds more than ids.
    """
    publish_many(
        [NewMessage(topic=topic, key=key, payload=payload, tenant_id=tenant_id, version=version)]
    )


def publish_many(messages: Sequence[NewMessage]) -> None:
    """Announce many facts in one statement; see `publish`."""
    for message in messages:
        check_payload(message.payload)
    alias = current_alias()
    insert_columns(
        "work_outbox",
        {
            "id": ("uuid", plain_array(new_id() for _ in messages)),
            "tenant_id": ("uuid", plain_array(each.tenant_id for each in messages)),
            "topic": ("text", text_array(each.topic for each in messages)),
            "key": ("text", text_array(each.key for each in messages)),
            "payload": ("jsonb", text_array(json.dumps(dict(each.payload)) for each in messages)),
            "version": ("smallint", plain_array(each.version for each in messages)),
        },
        ignore_conflicts=True,
    )
    transaction.on_commit(dispatch.wake_for_outbox, using=alias)


def relay() -> int:
    """Turn every waiting message into jobs for its subscribers; gives how many messages.

    Several relays may run at once: each passes over the messages that another holds.
    """
    relayed = 0
    while batch := _relay_batch():
        relayed += batch
        if batch < BATCH:
            break
    return relayed


def _relay_batch() -> int:
    subscriptions = registry.subscriptions()
    with transaction.atomic(using=JOBS):
        messages = list(
            OutboxMessage.objects.using(JOBS)
            .select_for_update(skip_locked=True)
            .filter(
                Q(topic__in=list(subscriptions)) | Q(created_at__lt=Now() - UNKNOWN_TOPIC_WAITS),
                relayed_at__isnull=True,
            )
            .order_by("id")[:BATCH]
        )
        if not messages:
            return 0
        insert_requests(
            [
                JobRequest(
                    kind=kind,
                    key=f"{message.topic}:{message.key}",
                    payload=message.payload,
                    tenant_id=message.tenant_id,
                    version=message.version,
                    requested_by=f"outbox:{message.topic}",
                )
                for message in messages
                for kind in subscriptions.get(message.topic, ())
            ],
            alias=JOBS,
        )
        OutboxMessage.objects.using(JOBS).filter(
            pk__in=[message.pk for message in messages]
        ).update(relayed_at=Now())
    return len(messages)
