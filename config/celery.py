"""The Celery application: it wakes workers and spreads work; the jobs table is the truth.

Celery is the standard of the field and drives the workers, but no broker is trusted: see
`docs/adr` on work in the database.
"""

import os
from datetime import timedelta
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from celery import Celery
from celery.signals import worker_process_init, worker_ready
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from kombu import Exchange, Queue

from config.schedule import BEAT_SCHEDULE
from work.collection import collect_seldom

HARD_TIME_LIMIT = timedelta(minutes=15)
SOFT_TIME_LIMIT = timedelta(minutes=14)
VISIBILITY_TIMEOUT = timedelta(hours=1)
"""Over twice the hard limit, so that Redis never hands out a message whose task still runs."""


def usable_broker_url(url: str, *, debug: bool) -> str:
    """The broker's URL; raises ImproperlyConfigured for the SQLAlchemy transport.

    That transport loses the running task when a worker is killed.
    """
    if url.startswith(("sqla+", "sqlalchemy+")) and not debug:
        raise ImproperlyConfigured(
            "BROKER_URL uses the SQLAlchemy transport, which loses tasks. Use redis://, rediss:// "
            "or amqp://, or leave it unset to use the embedded broker."
        )
    return url


def is_rabbitmq(url: str) -> bool:
    return url.startswith(("amqp", "pyamqp"))


def transport_options(url: str) -> dict[str, Any]:
    """What the transport of that URL understands of our wishes."""
    if url.startswith(("redis", "valkey", "sentinel")):
        return {
            "visibility_timeout": int(VISIBILITY_TIMEOUT.total_seconds()),
            # The tick goes before the jobs that wait.
            "queue_order_strategy": "priority",
            # A web request that publishes must not wait for a dead or stopped broker.
            "socket_connect_timeout": 2,
            "socket_timeout": 4,
            "socket_keepalive": True,
            "health_check_interval": 25,
            "max_retries": 1,
            "interval_start": 0,
            "interval_step": 0,
        }
    if is_rabbitmq(url):
        return {"confirm_publish": True, "max_retries": 1, "interval_start": 0, "interval_step": 0}
    return {}


_broker_url = usable_broker_url(settings.BROKER_URL, debug=settings.DEBUG)

# With DJANGO_SETTINGS_MODULE set, Celery itself closes inherited database connections after fork.


class RedeclaredQueue(Queue):
    """A queue that each message declares anew.

    Kombu remembers what it declared on a connection. When Redis loses its contents but not its
    connections (a flush, an eviction, a fail-over), the queue's binding is gone, and every later
    message of that connection, beat's ticks included, would vanish without an error.
    """

    can_cache_declaration = False


def queue(name: str, *, broker_url: str) -> Queue:
    """A queue with an exchange and a key of its own; Celery would give all the default's. On RabbitMQ a quorum
    queue: Celery's own setting for that holds for queues that nobody named."""
    return RedeclaredQueue(
        name,
        Exchange(name, type="direct"),
        routing_key=name,
        queue_arguments={"x-queue-type": "quorum"} if is_rabbitmq(broker_url) else None,
    )


app = Celery("summit", set_as_current=True)
app.conf.update(
    broker_url=_broker_url or None,
    broker_transport_options=transport_options(_broker_url),
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_connection_timeout=2,
    broker_pool_acquire_timeout=2,
    imports=["work.tasks"],
    beat_schedule=BEAT_SCHEDULE,
    # No state file: what was missed is known to the tables, see `work.schedules`.
    beat_scheduler="celery.beat:Scheduler",
    task_queues=[queue(name, broker_url=_broker_url) for name in ("pulse", "work")],
    task_default_queue="work",
    task_default_queue_type="quorum" if is_rabbitmq(_broker_url) else "classic",
    task_routes={"work.tick": {"queue": "pulse"}, "work.relay_outbox": {"queue": "pulse"}},
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    task_publish_retry=False,
    task_time_limit=int(HARD_TIME_LIMIT.total_seconds()),
    task_soft_time_limit=int(SOFT_TIME_LIMIT.total_seconds()),
    task_serializer="json",
    result_serializer="json",
    event_serializer="json",
    accept_content=["json"],
    result_backend=None,
    worker_prefetch_multiplier=1,
    worker_cancel_long_running_tasks_on_connection_loss=True,
    worker_soft_shutdown_timeout=30,
    worker_lost_wait=1,  # seconds until a killed child's place takes messages again
    worker_max_memory_per_child=400_000,  # kilobytes
    worker_hijack_root_logger=False,
    CELERY_DB_REUSE_MAX=500,  # tasks before a worker process renews its database connections
    timezone="UTC",
    enable_utc=True,
)


@worker_process_init.connect
def spare_the_collector(**_: Any) -> None:
    collect_seldom()


@worker_ready.connect
def tick_at_start(**_: Any) -> None:
    """Begin with what fell due while no worker was there, before beat's first tick."""
    app.send_task("work.tick", retry=False)


__all__ = ["app"]
