"""When a billing run will be over, by what it has done so far."""

from datetime import UTC, datetime, timedelta

from billing.invoicing.run_forecast import expected_end

NOON = datetime(2026, 5, 2, 12, tzinfo=UTC)


def forecast(
    *, done: int, after_minutes: int, parts: int = 200, measured: int = 0
) -> datetime | None:
    return expected_end(
        parts=parts,
        done=done,
        measured_from=NOON,
        measured_done=measured,
        progressed_at=NOON + timedelta(minutes=after_minutes),
    )


def test_the_rest_takes_as_long_as_what_was_done() -> None:
    # 50 of 200 in 10 minutes: the other 150 take 30.
    assert forecast(done=50, after_minutes=10) == NOON + timedelta(minutes=40)


def test_only_what_was_done_since_it_was_resumed_counts() -> None:
    # 100 were done before the pause; 20 in 5 minutes since: the other 80 take 20.
    assert forecast(done=120, measured=100, after_minutes=5) == NOON + timedelta(minutes=25)


def test_without_work_done_nothing_is_foretold() -> None:
    assert forecast(done=0, after_minutes=10) is None
    assert forecast(done=100, measured=100, after_minutes=10) is None
    assert forecast(done=1, after_minutes=0) is None
    assert forecast(done=200, after_minutes=10) is None
