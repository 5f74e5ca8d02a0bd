"""Time zones are known twice, and the two are held side by side."""

from datetime import UTC, datetime, timedelta

import pytest

from tenants.scope import system_scope
from tenants.services.compare_zones import compare_zones, differing
from tests.factories import a_tenant
from work.connections import cursor

pytestmark = pytest.mark.usefixtures("db")

NOW = datetime(2026, 3, 5, 12, 30, tzinfo=UTC)
SUMMER = datetime(2026, 7, 1, tzinfo=UTC)


def test_what_both_know_alike_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    for number, zone in enumerate(("Asia/Shanghai", "Europe/Berlin", "America/New_York", "UTC")):
        a_tenant(f"t{number}", apps=(f"a{number}",), timezone=zone)
    with system_scope(purpose="test"):
        assert compare_zones(now=NOW) == []
    assert caplog.records == []


def test_an_hour_of_difference_is_named() -> None:
    """Berlin without its summer, as a table of another year would have it; and one that is not known."""
    berlin, instants = "Europe/Berlin", [NOW, SUMMER]
    winter = [f"{(each + timedelta(hours=1)).replace(tzinfo=None)}" for each in instants]
    told = {berlin: winter, "UTC": [f"{each.replace(tzinfo=None)}" for each in instants]}
    assert differing(told, zones=["UTC", berlin, "Asia/Tokyo"], instants=instants) == [
        berlin,
        "Asia/Tokyo",
    ]


def test_the_warning_names_the_zone(caplog: pytest.LogCaptureFixture) -> None:
    """What differs for the tables of this machine is told for a tenant that lives there."""
    with system_scope(purpose="test"), cursor() as db:
        db.execute(
            "SELECT (%s::timestamptz AT TIME ZONE 'America/Vancouver')::text",
            [datetime(2026, 12, 15, 12, tzinfo=UTC)],
        )
        (local,) = db.fetchone()
    a_tenant(timezone="America/Vancouver")
    with system_scope(purpose="test"):
        found = compare_zones(now=NOW)
    is_alike = not differing(
        {"America/Vancouver": [local]},
        zones=["America/Vancouver"],
        instants=[datetime(2026, 12, 15, 12, tzinfo=UTC)],
    )
    assert found == ([] if is_alike else ["America/Vancouver"])
    assert [record.levelname for record in caplog.records] == ([] if is_alike else ["WARNING"])
