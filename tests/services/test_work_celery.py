"""The Celery settings that the guarantees rest on."""

from datetime import UTC, datetime, timedelta
from importlib.util import find_spec

import pytest
import time_machine
from celery import Celery
from celery.beat import Scheduler
from celery.schedules import schedule
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from config import celery as configured
from config.schedule import BEAT_SCHEDULE
from work import dispatch, tasks


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("task_acks_late", True),
        ("task_reject_on_worker_lost", True),
        ("worker_prefetch_multiplier", 1),
        ("worker_cancel_long_running_tasks_on_connection_loss", True),
        ("worker_soft_shutdown_timeout", 30),
        ("task_ignore_result", True),
        ("result_backend", None),
        ("task_serializer", "json"),
        ("accept_content", ["json"]),
        ("task_time_limit", 900),
        ("task_soft_time_limit", 840),
        ("task_publish_retry", False),
        ("broker_connection_retry_on_startup", True),
        ("broker_connection_max_retries", None),
        ("enable_utc", True),
        ("timezone", "UTC"),
        ("beat_scheduler", "celery.beat:Scheduler"),
    ],
)
def test_setting(setting: str, value: object) -> None:
    assert configured.app.conf[setting] == value


@pytest.mark.parametrize("url", ["redis://127.0.0.1:6379/0", "rediss://broker/1"])
def test_redis_hands_no_message_out_while_its_task_runs(url: str) -> None:
    options = configured.transport_options(url)
    assert options["visibility_timeout"] > 2 * configured.app.conf.task_time_limit
    assert options["socket_timeout"] <= 5


@pytest.mark.parametrize("url", ["sqla+postgresql://localhost/summit", "sqlalchemy+sqlite://"])
def test_sqlalchemy_transport_is_refused(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="loses tasks"):
        configured.usable_broker_url(url, debug=False)
    assert configured.usable_broker_url(url, debug=True) == url


def test_rabbitmq_confirms_what_it_took() -> None:
    assert configured.transport_options("amqp://broker//")["confirm_publish"] is True


@pytest.mark.parametrize(
    ("url", "arguments"),
    [("amqp://broker//", {"x-queue-type": "quorum"}), ("redis://broker/0", None)],
)
def test_rabbitmq_keeps_messages_on_most_of_its_nodes(
    url: str, arguments: dict[str, str] | None
) -> None:
    assert configured.queue("work", broker_url=url).queue_arguments == arguments


def test_workers_ask_rabbitmq_for_no_global_prefetch() -> None:
    """RabbitMQ 4.3 refuses it, and quorum queues know none."""
    assert configured.app.conf.worker_detect_quorum_queues is True


@pytest.mark.parametrize("alias", ["default", "jobs", "owner"])
def test_connections_are_looked_at_before_they_are_used_again(alias: str) -> None:
    assert connections[alias].settings_dict["CONN_HEALTH_CHECKS"] is True
    assert connections[alias].vendor == "postgresql"
    assert not find_spec("psycopg"), "Django would take it instead of psycopg2"


def test_beat_knows_intervals_only() -> None:
    for entry in BEAT_SCHEDULE.values():
        assert type(entry["schedule"]) is schedule
        assert entry["options"]["expires"] <= entry["schedule"].seconds
        assert entry["options"]["queue"] in {
            queue.name for queue in configured.app.conf.task_queues
        }


@pytest.mark.parametrize("days", [2, -2])
def test_beat_goes_on_when_the_clock_of_its_machine_jumps(days: int) -> None:
    scheduler = Scheduler(configured.app)
    waited = scheduler.tick()
    with time_machine.travel(datetime.now(UTC) + timedelta(days=days), tick=True):
        assert 0 < scheduler.tick() <= waited <= 15


def test_a_lost_message_is_made_up_for_within_a_minute() -> None:
    (entry,) = BEAT_SCHEDULE.values()
    assert dispatch.WAKE_AGAIN_AFTER + 2 * entry["schedule"].run_every <= timedelta(seconds=60)
    # An old message is dropped about when its successor is sent, so messages do not pile up.
    assert dispatch.WAKE_AGAIN_AFTER <= dispatch.MESSAGE_LIFE <= timedelta(seconds=60)


def test_each_queue_has_an_exchange_and_a_key_of_its_own() -> None:
    queues = configured.app.conf.task_queues
    assert {(queue.name, queue.exchange.name, queue.routing_key) for queue in queues} == {
        ("pulse", "pulse", "pulse"),
        ("work", "work", "work"),
    }
    assert not any(queue.can_cache_declaration for queue in queues)


def test_tasks_are_routed_and_registered() -> None:
    app: Celery = configured.app
    app.loader.import_default_modules()
    names = {tasks.tick.name, tasks.run_job.name, tasks.relay_outbox.name}
    assert names <= set(app.tasks)
    assert set(app.conf.task_routes) <= names
