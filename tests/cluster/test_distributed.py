"""The same code over a Citus cluster: equal figures, and what policies refuse where triggers can't."""

import json
import os
import subprocess
import sys
import tempfile
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.db import DatabaseError, connections, transaction

from metering.queries import changed_closed_days
from metering.scaleout.services.distribute import DISTRIBUTED, distribute
from metering.services import close_days, roll_up_pending
from tenants.scope import system_scope, tenant_scope
from tests import citus
from tests.cluster import story
from tests.factories import a_tenant
from tests.services.metering_world import at, message, send, stored_usage
from work.connections import DEFAULT, JOBS, OWNER, cursor

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("db")]

EVENING = at("2026-03-31T23:30:00+08:00")
MIDNIGHT = at("2026-04-01T00:00:00+08:00")
LAST = date(2026, 3, 31)


def told_to_one_node() -> story.Figures:
    """The story's figures from an embedded server of its own."""
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    with tempfile.TemporaryDirectory(prefix="summit-one-node-") as home:
        done = subprocess.run(  # our own program
            [sys.executable, "-m", "tests.cluster.story"],
            cwd=settings.BASE_DIR,
            env={**environment, "SUMMIT_HOME": home},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    figures: story.Figures = json.loads(done.stdout)
    return figures


def test_all_figures_are_those_of_one_node() -> None:
    """Row by row: what was answered, stored, closed, corrected, signed and recounted, and what is told."""
    with connections[OWNER].cursor() as execution:
        execution.execute(
            "SELECT count(DISTINCT nodename || ':' || nodeport) FROM citus_shards"
            " WHERE table_name = 'metering_daily_usage'::regclass"
        )
        assert execution.fetchone()[0] >= 2

    one_node = told_to_one_node()
    over_cluster = json.loads(json.dumps(story.tell(), default=str))

    assert over_cluster.keys() == one_node.keys()
    for name, figures in one_node.items():
        assert over_cluster[name] == figures, name
    assert len(one_node["daily"]) > 1_000
    assert len(one_node["corrections"]) > 50
    assert one_node["changed"] == []


def a_closed_day() -> UUID:
    """A tenant with a closed day, a late event of it, and an open day."""
    tenant = a_tenant()
    send(tenant.id, [message("1", "a", EVENING)], now=EVENING)
    with system_scope(purpose="test"):
        close_days(now=MIDNIGHT)
    send(tenant.id, [message("2", "b", EVENING), message("3", "b", MIDNIGHT)], now=MIDNIGHT)
    roll_up_pending(now=MIDNIGHT)
    return tenant.id


def as_jobs(statement: str) -> None:
    with transaction.atomic(using=JOBS), connections[JOBS].cursor() as execution:
        execution.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE metering_daily_usage SET value = value + 1 WHERE day = '2026-03-31'",
        "UPDATE metering_daily_usage SET day = day + 1, kind = 'moved' WHERE day = '2026-03-31'",
        "DELETE FROM metering_daily_usage WHERE day = '2026-03-31'",
    ],
)
def test_rows_of_closed_days_are_out_of_reach(statement: str) -> None:
    """A trigger raises; a policy shows the statement no such row."""
    tenant_id = a_closed_day()
    before = stored_usage(tenant_id)
    as_jobs(statement)
    assert stored_usage(tenant_id) == before
    with system_scope(purpose="test"):
        assert changed_closed_days() == []


@pytest.mark.parametrize(
    "statement",
    [
        (
            "INSERT INTO metering_daily_usage SELECT tenant_id, app_id, meter, day, 'x', 1"
            " FROM metering_daily_usage WHERE day = '2026-03-31'"
        ),
        (
            "INSERT INTO metering_daily_usage SELECT tenant_id, app_id, meter, day, kind, 1"
            " FROM metering_daily_usage WHERE day = '2026-03-31'"
            " ON CONFLICT (tenant_id, app_id, meter, day, kind) DO UPDATE SET value = 7"
        ),
        # A closed day on which nothing was used.
        (
            "INSERT INTO metering_daily_usage SELECT tenant_id, app_id, meter, '2026-03-02', kind, 1"
            " FROM metering_daily_usage WHERE day = '2026-03-31' AND meter = 'dau' RETURNING 1"
        ),
        "UPDATE metering_daily_usage SET day = day - 1, kind = 'moved' WHERE day = '2026-04-01'",
        "UPDATE metering_watermark SET closed_until = '2026-01-01'",
        "UPDATE metering_watermark SET closed_until = NULL",
        "DELETE FROM metering_watermark",
        "UPDATE metering_closed_until SET closed_until = '2026-01-01'",
        "DELETE FROM metering_closed_until",
        "TRUNCATE metering_closed_until",
        "UPDATE metering_day_close SET rows = 0",
        "DELETE FROM metering_day_close",
        "UPDATE metering_correction SET delta = 0",
        "DELETE FROM metering_correction",
        "UPDATE metering_usage_proof SET count = 0",
        "DELETE FROM metering_usage_proof",
    ],
)
def test_what_is_closed_is_refused(statement: str) -> None:
    tenant_id = a_closed_day()
    before = stored_usage(tenant_id)
    with pytest.raises(DatabaseError):
        as_jobs(statement)
    assert stored_usage(tenant_id) == before
    with system_scope(purpose="test"):
        assert changed_closed_days() == []


def test_open_days_still_change() -> None:
    tenant_id = a_closed_day()
    as_jobs("UPDATE metering_daily_usage SET value = 40 WHERE day = '2026-04-01'")
    values = {key[1:]: value for key, value in stored_usage(tenant_id).items()}
    assert values["dau", "", LAST + timedelta(days=1)] == 40


def rows(alias: str, *statements: str) -> list[Any]:
    with transaction.atomic(using=alias), connections[alias].cursor() as execution:
        for statement in statements:
            execution.execute(statement)
        return list(execution.fetchall())


@pytest.mark.parametrize("model", DISTRIBUTED, ids=lambda model: model._meta.db_table)
def test_row_security_holds_on_the_workers(model: Any) -> None:
    own, other = a_closed_day(), a_tenant("globex", apps=("theirs",)).id
    send(other, [message("1", "a", EVENING, app="theirs")], now=EVENING)
    roll_up_pending(now=MIDNIGHT)
    table = model._meta.db_table
    asked = f"SELECT DISTINCT tenant_id FROM {table}"
    if model.web_access == "none":
        with pytest.raises(DatabaseError):
            rows(DEFAULT, asked)
        return
    assert rows(DEFAULT, asked) == []
    for tenant_id, others in ((own, other), (other, own)):
        named = f"SET LOCAL app.tenant = '{tenant_id}'"
        assert set(rows(DEFAULT, named, asked)) <= {(tenant_id,)}
        assert rows(DEFAULT, named, f"{asked} WHERE tenant_id = '{others}'") == []


def test_a_tenant_writes_no_rows_of_another() -> None:
    own, other = a_tenant().id, a_tenant("globex", apps=("theirs",)).id
    with pytest.raises(DatabaseError), tenant_scope(own), cursor() as execution:
        execution.execute(
            "INSERT INTO metering_batch (tenant_id, id, received_at, events)"
            " VALUES (%s, gen_random_uuid(), now(), 1)",
            [str(other)],
        )


def test_it_distributes_what_is_not_distributed_yet() -> None:
    """As after a run that was killed between two tables."""
    assert not any(each.is_new for each in distribute().tables)
    with connections[OWNER].cursor() as execution:
        execution.execute("SELECT undistribute_table('metering_duplicates')")
        assert "metering_duplicates" not in citus.distributed_tables(execution)

    done = distribute(shards=64)

    assert [each.table for each in done.tables if each.is_new] == ["metering_duplicates"]
    # Into as many parts as the others, so that a tenant's rows lie together.
    assert done.shards == citus.SHARDS
    with connections[OWNER].cursor() as execution:
        execution.execute(
            "SELECT count(DISTINCT colocation_id) FROM citus_tables"
            " WHERE table_name::text = ANY (%s)",
            [[model._meta.db_table for model in DISTRIBUTED]],
        )
        assert execution.fetchone() == (1,)
