"""`manage.py calculate` as it is called: files, stdin, exit statuses, speed, published examples."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

ROOT = Path(__file__).resolve().parents[2]
D = Decimal

FIVE = {
    "id": "five",
    "op": "price",
    "currency": "CNY",
    "price": {"model": "per_unit", "unit_price": "0.05"},
    "quantity": "100",
}
REFUSED = {**FIVE, "id": "refused", "quantity": "-1"}


def run(
    *arguments: str, stdin: str | bytes = "", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "manage.py", "calculate", *arguments],
        cwd=ROOT,
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        env={**os.environ, **environment},
        capture_output=True,
        timeout=120,
        check=False,
    )


def calculated(cases: object) -> list[dict[str, Any]]:
    done = run(stdin=json.dumps(cases))
    assert (done.returncode, done.stderr) == (0, b"")
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


# Files, streams, statuses


def test_one_case_from_stdin_is_answered_with_a_list() -> None:
    (found,) = calculated(FIVE)
    assert (found["id"], found["amount"]) == ("five", "5.00")


@pytest.mark.parametrize("arguments", [(), ("-",), ("--json",), ("--json", "-")])
def test_ways_to_name_stdin(arguments: tuple[str, ...]) -> None:
    done = run(*arguments, stdin=json.dumps([FIVE, FIVE]))
    assert done.returncode == 0
    assert [each["amount"] for each in json.loads(done.stdout)] == ["5.00", "5.00"]


def test_a_file_and_no_database(tmp_path: Path) -> None:
    file = tmp_path / "cases.json"
    file.write_text(json.dumps([FIVE]))
    done = run(str(file), DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert done.returncode == 0
    assert json.loads(done.stdout)[0]["amount"] == "5.00"


def test_nothing_asked_nothing_answered() -> None:
    assert calculated([]) == []


def test_refused_cases_leave_their_neighbours_and_give_status_1() -> None:
    done = run(stdin=json.dumps([FIVE, REFUSED, FIVE]))
    answers = json.loads(done.stdout)
    assert done.returncode == 1
    assert done.stderr == b""
    assert [each["id"] for each in answers] == ["five", "refused", "five"]
    assert answers[1]["error"]["code"] == "negative"
    assert answers[0] == answers[2]


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"not json", b"\xff\xfe\x00", b"[" * 100_000, b"[1, 2"],
    ids=["nothing", "half", "words", "not UTF-8", "deep", "no end"],
)
def test_what_is_not_json_is_wrong_use(text: bytes) -> None:
    done = run(stdin=text)
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["code"] == "not_json"
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["missing.json", "."])
def test_a_file_that_cannot_be_read_is_wrong_use(name: str, tmp_path: Path) -> None:
    done = run(str(tmp_path / name))
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["code"] == "file_not_readable"
    assert b"Traceback" not in done.stderr


def test_unknown_options_are_wrong_use() -> None:
    done = run("--fast")
    assert done.returncode == 2
    assert done.stdout == b""
    assert b"unrecognized arguments" in done.stderr


def test_it_explains_itself() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert b"usage: manage.py calculate" in done.stdout


def test_any_locale_takes_the_output() -> None:
    name = "专业版 \ud800"
    done = run(stdin=json.dumps({**FIVE, "id": name}), PYTHONIOENCODING="ascii", LC_ALL="C")
    assert done.returncode == 0
    assert json.loads(done.stdout)[0]["id"] == name


def test_a_reader_that_goes_away_gets_no_traceback(tmp_path: Path) -> None:
    file = tmp_path / "cases.json"
    file.write_text(json.dumps([FIVE] * 5000))
    with subprocess.Popen(
        [sys.executable, "manage.py", "calculate", str(file)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_it_is_a_command_like_the_others(tmp_path: Path) -> None:
    file = tmp_path / "cases.json"
    file.write_text(json.dumps([FIVE]))
    out = StringIO()
    call_command("calculate", str(file), stdout=out)
    assert json.loads(out.getvalue())[0]["amount"] == "5.00"
    file.write_text(json.dumps([REFUSED]))
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("calculate", str(file), stdout=out)
    assert ended.value.code == 1
    assert json.loads(out.getvalue())[0]["error"]["code"] == "negative"


# Speed


def test_a_single_case_starts_without_a_framework() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "manage.py", "calculate"],
        cwd=ROOT,
        input=json.dumps(FIVE),
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "billing.calculator.cases" in imported
    packages = {name.partition(".")[0] for name in imported}
    assert not packages & {"django", "psycopg2", "celery", "stripe", "msgspec", "config", "work"}


def test_a_single_case_is_answered_within_a_second() -> None:
    def seconds() -> float:
        began = time.perf_counter()
        calculated(FIVE)
        return time.perf_counter() - began

    # The best of three, because the machine may be busy with other tests.
    assert min(seconds() for _ in range(3)) < 1


def test_many_cases_in_one_go_cost_alike(tmp_path: Path) -> None:
    def seconds_of(count: int) -> float:
        file = tmp_path / f"{count}.json"
        file.write_text(json.dumps([{**FIVE, "id": n, "quantity": n} for n in range(count)]))
        began = time.perf_counter()
        done = run(str(file))
        ended = time.perf_counter()
        assert done.returncode == 0
        answers = json.loads(done.stdout)
        assert [each["id"] for each in answers] == list(range(count))
        assert D(answers[-1]["amount"]) == (D(count - 1) * D("0.05")).quantize(D("0.01"))
        return ended - began

    few, many = seconds_of(2_000), seconds_of(20_000)
    # Ten times the cases; twice as much is left for a machine that is busy.
    assert many < 20 * max(few, 0.1)


# Worked examples that operators publish


def price(terms: Mapping[str, Any], quantity: object, **fields: Any) -> dict[str, Any]:
    return {"op": "price", "currency": "CNY", "price": terms, "quantity": quantity, **fields}


def flat(amount: str) -> dict[str, Any]:
    return price({"model": "flat", "amount": amount}, "1")


def blocks(size: str, block: str, included: str = "0", rounding: str = "up") -> dict[str, Any]:
    return {
        "model": "package",
        "package_size": size,
        "package_price": block,
        "package_rounding": rounding,
        "included": included,
    }


def per_unit(unit_price: str, **fields: Any) -> dict[str, Any]:
    return {"model": "per_unit", "unit_price": unit_price, **fields}


def moderation(units: str) -> dict[str, Any]:
    return price(
        {
            "model": "graduated",
            "tiers": [
                {"up_to": "100", "unit_price": "15"},
                {"up_to": None, "unit_price": "22.5"},
            ],
        },
        units,
    )


PUBLISHED: list[tuple[str, list[dict[str, Any]], str]] = [
    (
        "Easemob 2022, full blocks: 888 + 7 x 850 + 2888 + 0 x 850",
        [
            flat("888"),
            price(blocks("10000", "850", "10000", "down"), "82370"),
            flat("2888"),
            price(blocks("10000", "850", "10000", "down"), "17865"),
        ],
        "9726.00",
    ),
    (
        "the same with started blocks: 1,700 more",
        [
            flat("888"),
            price(blocks("10000", "850", "10000", "up"), "82370"),
            flat("2888"),
            price(blocks("10000", "850", "10000", "up"), "17865"),
        ],
        "11426.00",
    ),
    (
        "Easemob 2026 Pro with callback cache: 1299 + 1000 + 2000",
        [flat("1299"), price(blocks("10000", "1000", "10000"), "15000"), flat("2000")],
        "4299.00",
    ),
    (
        "Agora Starter over the account: (2370 + 7865 - 5000) x 0.05 + 349",
        [flat("349"), price(per_unit("0.05", included="5000"), 2370 + 7865)],
        "610.75",
    ),
    (
        "Tencent legacy, 10,000 free: 2 x 1000",
        [price(blocks("10000", "1000", "10000"), "22000")],
        "2000.00",
    ),
    (
        "Tencent legacy with groups: 3 x 1000 + 2 x 1000",
        [
            price(blocks("10000", "1000"), "22000"),
            price(blocks("100000", "1000", "100000"), "202000"),
        ],
        "5000.00",
    ),
    (
        "Easemob MQTT, 10,000 DAU: 588 + (10000 - 1000) x 0.03",
        [
            price(blocks("10000", "588"), "10000"),
            price(
                per_unit("0.03", convert={"divide_by": "10000", "rounding": "up"}, included="1000"),
                "100000000",
            ),
        ],
        "858.00",
    ),
    (
        "Easemob MQTT, 20,000 DAU: 588 x 2 + (10000 - 2000) x 0.03",
        [
            price(blocks("10000", "588"), "20000"),
            price(
                per_unit("0.03", convert={"divide_by": "10000", "rounding": "up"}, included="2000"),
                "100000000",
            ),
        ],
        "1416.00",
    ),
    ("moderation: 100 x 15 + 50 x 22.5, above the fee of 500", [moderation("150")], "2625.00"),
    (
        "ZEGOCLOUD Pro, 32,000 MAU: 449 x 4",
        [flat("449"), price(blocks("10000", "449", "10000"), "32000")],
        "1796.00",
    ),
    ("translation: 500 characters to 4 languages", [price(per_unit("0.01"), 500 * 4)], "20.00"),
    (
        "RongCloud: the month's fee / its days x the days open",
        [
            {
                "op": "prorate",
                "currency": "CNY",
                "amount": "3100",
                "part": {"starts_on": "2026-07-20", "ends_on": "2026-08-01"},
                "period": {"starts_on": "2026-07-01", "ends_on": "2026-08-01"},
                "timezone": "Asia/Shanghai",
            }
        ],
        "1200.00",
    ),
]


@pytest.mark.parametrize(
    ("cases", "bill"), [each[1:] for each in PUBLISHED], ids=[each[0] for each in PUBLISHED]
)
def test_published_examples(cases: list[dict[str, Any]], bill: str) -> None:
    assert str(sum(D(each["amount"]) for each in calculated(cases))) == bill


def peak(*days: tuple[int, int], app: str = "app") -> dict[str, Any]:
    """Concurrent connections by day of July; the highest counts."""
    return {
        "op": "aggregate",
        "aggregation": "max",
        "period_aggregation": "max_day",
        "timezone": "Asia/Shanghai",
        "window": {
            "starts_at": "2026-07-01T00:00:00+08:00",
            "ends_at": "2026-08-01T00:00:00+08:00",
        },
        "events": [
            {"id": f"{app}-{day}", "time": f"2026-07-{day:02}T12:00:00+08:00", "value": str(value)}
            for day, value in days
        ],
    }


@pytest.mark.parametrize(
    ("cases", "connections"),
    [
        ([peak((7, 23), (23, 11)), peak((7, 20), (23, 50), app="other")], 73),
        ([peak((4, 100)), peak((19, 150), app="other")], 250),
    ],
    ids=["Sendbird: 23 on the 7th and 50 on the 23rd", "Supabase: peaks of 100 and 150"],
)
def test_published_sums_of_peaks(cases: list[dict[str, Any]], connections: int) -> None:
    assert sum(D(each["value"]) for each in calculated(cases)) == connections


def test_zitadel_counts_a_user_on_each_of_30_days() -> None:
    case = {
        "op": "aggregate",
        "aggregation": "unique_count",
        "period_aggregation": "sum_days",
        "timezone": "UTC",
        "window": {"starts_at": "2026-06-01T00:00:00Z", "ends_at": "2026-07-01T00:00:00Z"},
        "events": [
            {"id": f"{day}-{n}", "time": f"2026-06-{day:02}T0{n}:00:00Z", "user": "ann"}
            for day in range(1, 31)
            for n in (1, 2)
        ],
    }
    daily, distinct = calculated([case, {**case, "period_aggregation": "distinct"}])
    assert (daily["value"], distinct["value"]) == ("30", "1")


def test_gross_at_six_percent_splits_into_net_and_tax() -> None:
    line = {"key": "service", "amount": "4716.98", "tax_percent": "6"}
    (found,) = calculated({"op": "invoice", "currency": "CNY", "lines": [line]})
    assert (found["tax_total"], found["total"]) == ("283.02", "5000.00")


def test_a_dated_tax_change_splits_into_two_rates() -> None:
    """China's VAT on short messages: 6 % to the end of 2025, 9 % from 2026 on."""
    lines = [
        {"key": "sms-2025", "amount": "100.00", "tax_percent": "6"},
        {"key": "sms-2026", "amount": "100.00", "tax_percent": "9"},
    ]
    (found,) = calculated({"op": "invoice", "currency": "CNY", "lines": lines})
    assert [line["tax"] for line in found["lines"]] == ["6.00", "9.00"]
    assert found["due"] == "215.00"
