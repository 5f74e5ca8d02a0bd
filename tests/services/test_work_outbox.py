"""Messages leave with their transaction and become one job a subscriber, through any crash."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from django.db import connections
from django.db.utils import DatabaseError

from tests.services import work_kinds
from work import jobs, outbox
from work.connections import DEFAULT, JOBS, transaction_on
from work.models import Job, OutboxMessage

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def work_tables(db: None) -> Iterator[None]:
    work_kinds.make_tables()
    yield
    work_kinds.drop_tables()


def publish(key: str, *, topic: str = "test.happened", tenant_id: UUID | None = None) -> None:
    with transaction_on(JOBS):
        outbox.publish(topic=topic, key=key, payload={"thing": key}, tenant_id=tenant_id)


def test_one_job_for_each_subscriber() -> None:
    tenant_id = uuid4()
    publish("inv_1", tenant_id=tenant_id)
    publish("inv_1", tenant_id=tenant_id)
    assert outbox.relay() == 1
    assert outbox.relay() == 0
    made = Job.objects.using(JOBS).order_by("kind")
    assert [(job.kind, job.key, job.tenant_id, job.payload) for job in made] == [
        ("test.listener", "test.happened:inv_1", tenant_id, {"thing": "inv_1"}),
        ("test.second_listener", "test.happened:inv_1", tenant_id, {"thing": "inv_1"}),
    ]


def test_rolled_back_with_its_caller() -> None:
    def publish_and_fail() -> None:
        with transaction_on(JOBS):
            outbox.publish(topic="test.happened", key="one", payload={})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        publish_and_fail()
    assert outbox.relay() == 0


def test_inline_runs_follow_the_outbox() -> None:
    publish("inv_1")
    assert jobs.run_pending(now=NOW).done == 2
    assert work_kinds.effects() == {"test.happened:inv_1": 1}


def test_relays_at_once_make_no_job_twice() -> None:
    for n in range(40):
        publish(f"{n}")
    counts: list[int] = []

    def relay() -> None:
        counts.append(outbox.relay())
        connections.close_all()

    threads = [threading.Thread(target=relay) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sum(counts) + outbox.relay() == 40
    assert Job.objects.using(JOBS).count() == 80


def test_unknown_topic_waits_for_a_process_that_knows_it() -> None:
    publish("one", topic="test.of_tomorrow")
    assert outbox.relay() == 0
    OutboxMessage.objects.using(JOBS).update(
        created_at=datetime.now(UTC) - outbox.UNKNOWN_TOPIC_WAITS - timedelta(seconds=1)
    )
    assert outbox.relay() == 1
    assert not Job.objects.using(JOBS).exists()


def test_newer_message_makes_a_job_that_waits_for_a_newer_worker() -> None:
    with transaction_on(JOBS):
        outbox.publish(topic="test.happened", key="one", payload={}, version=2)
    summary = jobs.run_pending(now=NOW)
    assert summary.done == 0
    codes = set(Job.objects.using(JOBS).values_list("state", "error_code"))
    assert codes == {("parked", "unknown_version")}


def test_web_role_publishes_for_its_tenant_only() -> None:
    own = uuid4()

    def publish_for(tenant_id: UUID | None) -> None:
        with transaction_on(DEFAULT):
            with connections[DEFAULT].cursor() as cursor:
                cursor.execute(f"SET LOCAL app.tenant = '{own}'")
            outbox.publish(topic="test.happened", key="one", payload={}, tenant_id=tenant_id)

    publish_for(own)
    for foreign in (uuid4(), None):
        with pytest.raises(DatabaseError, match="row-level security"):
            publish_for(foreign)
    assert outbox.relay() == 1
