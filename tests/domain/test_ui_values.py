"""What people and spreadsheets read: money, dates, table cells, exports, pages, list state."""

import csv
import io
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.http import QueryDict
from django.utils import translation

from kernel.money import Money
from kernel.period import Period
from ui import cells, exports, formats
from ui.charts import Figure, Series, daily_figure, sparkline
from ui.pages import pages
from ui.tables import Column, ListState, Table

MARCH = Period(datetime(2026, 2, 28, 16, tzinfo=UTC), datetime(2026, 3, 31, 16, tzinfo=UTC))
"""March 2026 in Shanghai."""


@pytest.mark.parametrize(
    ("value", "english", "chinese"),
    [
        (Money.of("1299.00", "CNY"), "CN¥1,299.00", "¥1,299.00"),
        (Money.of("-0.05", "EUR"), "−€0.05", "−€0.05"),
        (Money.of("1200", "JPY"), "¥1,200", "JP¥1,200"),
        (Money.of("1.234", "KWD"), "KWD1.234", "KWD1.234"),
    ],
)
def test_money_has_its_currency_and_its_decimals(value: Money, english: str, chinese: str) -> None:
    assert formats.money_text(value, language="en").replace("\xa0", " ") == english
    assert formats.money_text(value, language="zh-hans").replace("\xa0", " ") == chinese


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("5", "CN¥5.00"),
        ("0.000120", "CN¥0.00012"),
        ("0.000000000001", "CN¥0.000000000001"),
        ("1000", "CN¥1,000.00"),
    ],
)
def test_unit_price_loses_no_decimal(amount: str, text: str) -> None:
    assert formats.price_text(Decimal(amount), "CNY", language="en") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [("1594", "1,594"), ("0.50", "0.5"), ("0E+3", "0"), ("1E+6", "1,000,000"), ("-3", "−3")],
)
def test_quantity_is_grouped_and_exact(value: str, text: str) -> None:
    assert formats.quantity_text(Decimal(value), language="en") == text


def test_period_is_told_by_its_last_day_in_the_zone() -> None:
    text = formats.period_text(MARCH, zone="Asia/Shanghai", language="en")
    assert text == "Mar 1 – Mar 31, 2026"
    text = formats.period_text(MARCH, zone="Asia/Shanghai", language="zh-hans")
    assert text == "2026年3月1日至3月31日"
    year_end = Period(datetime(2025, 12, 15, tzinfo=UTC), datetime(2026, 1, 15, tzinfo=UTC))
    text = formats.period_text(year_end, zone="UTC", language="en")
    assert text == "Dec 15, 2025 – Jan 14, 2026"


def test_instant_is_read_in_the_zone() -> None:
    at = datetime(2026, 3, 1, 16, 30, tzinfo=UTC)
    text = formats.instant_text(at, zone="Asia/Shanghai", language="en")
    assert text == "Mar 2, 2026, 00:30"


HOSTILE = [
    f"{start}{rest}"
    for start in ("=", "+", "-", "−", "@", "\t", "\r", "\n", "\0")
    for rest in ("1+1", "cmd|' /C calc'!A0", "HYPERLINK(1)", "SUM(A1)", "x", "")
]


@pytest.mark.parametrize("text", HOSTILE)
def test_export_holds_no_formula(text: str) -> None:
    written = exports.csv_text(header=["name"], rows=[[text], [cells.Link(text=text, url="/")]])
    rows = list(csv.reader(io.StringIO(written.replace("\0", "\ufffd"), newline="")))
    assert len(rows) == 3
    assert all(row[0].startswith("'") for row in rows[1:])


def test_export_writes_amounts_as_numbers() -> None:
    written = exports.csv_text(
        header=["a", "b", "c", "d", "e"],
        rows=[
            [
                Money.of("-12.30", "CNY"),
                Decimal("1E+3"),
                date(2026, 3, 1),
                cells.Instant(at=datetime(2026, 3, 1, tzinfo=UTC), zone="Asia/Shanghai"),
                None,
            ]
        ],
    )
    assert written.splitlines()[1] == "-12.30,1000,2026-03-01,2026-03-01T08:00:00+08:00,"


def test_export_name_is_the_programs_own() -> None:
    response = exports.csv_response(name='a"\r\nb/../c', header=["x"], rows=[])
    assert response["Content-Disposition"] == 'attachment; filename="a-b-c.csv"'


def test_cell_text_is_escaped() -> None:
    for value in ("<b>", cells.Link(text="<b>", url="/?a=1&b=<"), cells.Code(text="<b>")):
        assert "<b>" not in cells.as_html(value)


def test_what_is_folded_is_on_the_page_and_not_in_an_export() -> None:
    folded = cells.Folded(text="too old", title="What was sent", content='{"id": "<b>"}')
    shown = cells.as_html(folded)
    assert "too old<details" in shown
    assert "&lt;b&gt;" in shown
    assert cells.as_export(folded) == "too old"


@pytest.mark.parametrize(
    ("number", "total", "offered"),
    [
        (1, 0, [1]),
        (1, 26, [1, 2]),
        (2, 125, [1, 2, 3, 4, 5]),
        (10, 500, [1, None, 9, 10, 11, None, 20]),
        (99, 50, [1, 2]),
    ],
)
def test_pages_offer_ends_and_neighbours(number: int, total: int, offered: list[int]) -> None:
    assert list(pages(number=number, total=total, size=25).offered) == offered


COLUMNS: tuple[Column[int], ...] = (
    Column(key="name", label="Name", value=str, sortable=True),
    Column(key="size", label="Size", value=lambda row: row, numeric=True),
)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ListState(sort="name")),
        (
            "q=+acme+&sort=-name&page=3",
            ListState(search="acme", sort="name", descending=True, page=3),
        ),
        ("sort=size&page=x", ListState(sort="name")),
        ("sort=password&page=-1", ListState(sort="name")),
        ("page=²", ListState(sort="name")),
        ("page=99999999999999999999", ListState(sort="name", page=1_000_000)),
        ("status=open", ListState(sort="name", filters={"status": "open"})),
        ("status=other", ListState(sort="name")),
        ("q=a%00b", ListState(sort="name", search="ab")),
    ],
)
def test_list_state_takes_only_what_is_allowed(query: str, expected: ListState) -> None:
    state = ListState.read(
        QueryDict(query), columns=COLUMNS, default_sort="name", filters={"status": ["open"]}
    )
    assert state == expected


def test_list_address_keeps_search_and_filter() -> None:
    state = ListState(search="a&b", sort="name", filters={"status": "open"})
    assert state.address(page=2) == "?q=a%26b&sort=name&status=open&page=2"
    assert state.address(search="", filters={}, sort="") == "?"


def test_table_head_turns_the_order_round() -> None:
    table = Table(
        columns=COLUMNS, rows=[1, 2], total=2, caption="Things", state=ListState(sort="name")
    )
    first, second = table.heads()
    assert (first.direction, first.sort_address) == ("ascending", "?sort=-name")
    assert (second.direction, second.sort_address) == ("", "")


def test_short_list_offers_no_order() -> None:
    table = Table(columns=COLUMNS, rows=[1], caption="Things")
    assert [head.sort_address for head in table.heads()] == ["", ""]


def test_figure_and_its_table_tell_the_same() -> None:
    with translation.override("en"):
        figure = daily_figure(
            key="usage",
            title="Usage",
            days=[date(2026, 3, 1), date(2026, 3, 2)],
            values={"chat": {date(2026, 3, 2): Decimal(1200)}},
            language="en",
        )
        assert list(figure.lines) == [("Mar 1, 2026", ["0"]), ("Mar 2, 2026", ["1,200"])]
        assert figure.drawing["series"] == [
            {"label": "chat", "values": [0.0, 1200.0], "texts": ["0", "1,200"]}
        ]


def test_figure_refuses_a_series_that_does_not_fit() -> None:
    with pytest.raises(ValueError, match="doesn't fit"):
        Figure(
            key="a",
            title="a",
            points=["1"],
            points_label="p",
            series=[Series(label="s", values=[1, 2], texts=["1", "2"])],
        )


@pytest.mark.parametrize("values", [[], [5], [0, 0, 0], [1, 3, 2]])
def test_sparkline_is_drawn_for_any_values(values: list[int]) -> None:
    drawn = sparkline(values, label='"<b>"')
    assert "<b>" not in drawn
    assert ("polyline" in drawn) == bool(values)
