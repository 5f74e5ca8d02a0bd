"""Tables: columns declared once, state in the address, the same rows on screen and in an export.

::

    COLUMNS = (
        Column(key="name", label=_("Tenant"), value=lambda row: Link(...), sortable=True),
        Column(key="status", label=_("State"), value=lambda row: Status(...)),
    )
    state = ListState.read(request.GET, columns=COLUMNS, default_sort="name", filters=("status",))
    found = tenant_rows(search=state.search, sort=state.sort, ...)
    table = Table(columns=COLUMNS, rows=found.rows, total=found.total, state=state, caption=...)

A table has a stable order: the query ties equal rows by their key.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, Self, TypeVar

from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils.http import urlencode

from ui import exports
from ui.cells import Cell, Text, as_html, is_numeric
from ui.pages import PAGE_SIZE, Pages, pages

Row = TypeVar("Row")
_MAX_SEARCH: Final = 200
_MAX_PAGE: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Column(Generic[Row]):
    """One column: its head, its value in a row, and whether the query can sort by its key."""

    key: str
    label: Text
    value: Callable[[Row], Cell]
    sortable: bool = False
    numeric: bool = False
    minor: bool = False
    """Left out on narrow screens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListState:
    """What the address says about a list: search, sort, page and filters."""

    search: str = ""
    sort: str = ""
    descending: bool = False
    page: int = 1
    filters: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        query: QueryDict,
        *,
        columns: Sequence[Column[Any]] = (),
        default_sort: str = "",
        filters: Mapping[str, Sequence[str]] | None = None,
    ) -> Self:
        """The state in the address; what it doesn't know or allow falls back to the default.

        `default_sort` may begin with a dash for descending. `filters` names each filter with the
        values that it may have.
        """
        allowed = {column.key for column in columns if column.sortable}
        sort = query.get("sort", "")
        if sort.removeprefix("-") not in allowed:
            sort = default_sort
        number = query.get("page", "1")
        given = {
            name: query.get(name, "")
            for name, values in (filters or {}).items()
            if query.get(name, "") in values
        }
        return cls(
            search=query.get("q", "").replace("\0", "").strip()[:_MAX_SEARCH],
            sort=sort.removeprefix("-"),
            descending=sort.startswith("-"),
            page=min(int(number), _MAX_PAGE) if number.isascii() and number.isdigit() else 1,
            filters=given,
        )

    @property
    def offset(self) -> int:
        return (max(1, self.page) - 1) * PAGE_SIZE

    @property
    def limit(self) -> int:
        return PAGE_SIZE

    def address(self, **changes: Any) -> str:
        """The query string of this state with the changes; empty parts are left out."""
        state = replace(self, **changes)
        parts = {
            "q": state.search,
            "sort": ("-" if state.descending else "") + state.sort if state.sort else "",
            **state.filters,
            "page": state.page if state.page > 1 else "",
        }
        return "?" + urlencode({name: value for name, value in parts.items() if value})


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A column's head as the template draws it."""

    label: Text
    numeric: bool
    minor: bool
    sort_address: str
    direction: str
    """`ascending`, `descending`, or empty when the table isn't sorted by this column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table(Generic[Row]):
    """One page of rows, ready to be drawn or exported."""

    columns: Sequence[Column[Row]]
    rows: Sequence[Row]
    caption: Text
    total: int | None = None
    """How many rows the filter finds; None for a short list that is shown whole."""
    state: ListState = field(default_factory=ListState)
    empty_title: Text = ""
    empty_text: Text = ""
    totals: Sequence[tuple[Text, Cell]] = ()
    """Sums over the whole filter, shown below."""
    exportable: bool = False
    region: str = "list"
    """The id of the part of the page that search and paging replace."""

    def heads(self) -> Iterator[Head]:
        for column in self.columns:
            is_sorted = column.sortable and self.state.sort == column.key
            yield Head(
                label=column.label,
                numeric=column.numeric,
                minor=column.minor,
                sort_address=self.state.address(
                    sort=column.key,
                    descending=is_sorted and not self.state.descending,
                    page=1,
                )
                if column.sortable and self.total is not None
                else "",
                direction=""
                if not is_sorted
                else "descending"
                if self.state.descending
                else "ascending",
            )

    def lines(self) -> Iterator[list[dict[str, Any]]]:
        """The cells of each row, as markup."""
        for row in self.rows:
            cells = []
            for column in self.columns:
                value = column.value(row)
                cells.append(
                    {
                        "html": as_html(value),
                        "numeric": column.numeric or is_numeric(value),
                        "minor": column.minor,
                    }
                )
            yield cells

    @property
    def pages(self) -> Pages:
        total = len(self.rows) if self.total is None else self.total
        size = max(1, len(self.rows)) if self.total is None else PAGE_SIZE
        return pages(number=self.state.page, total=total, size=size)

    @property
    def page_links(self) -> Iterator[tuple[int | None, str]]:
        for number in self.pages.offered:
            yield number, "" if number is None else self.state.address(page=number)

    @property
    def previous_address(self) -> str:
        here = self.pages
        return self.state.address(page=here.number - 1) if here.number > 1 else ""

    @property
    def next_address(self) -> str:
        here = self.pages
        return self.state.address(page=here.number + 1) if here.number < here.count else ""

    @property
    def export_address(self) -> str:
        address = self.state.address(page=1)
        return address + ("&" if len(address) > 1 else "") + "format=csv"

    @property
    def is_filtered(self) -> bool:
        return bool(self.state.search or self.state.filters)


def wants_csv(request: HttpRequest) -> bool:
    return request.GET.get("format") == "csv"


def csv_of(*, columns: Sequence[Column[Row]], rows: Sequence[Row], name: str) -> HttpResponse:
    """The rows as a CSV download with the table's own columns.

    Raises ValueError beyond `ui.exports.MAX_ROWS`: the caller asks for one more than it may show.
    """
    if len(rows) > exports.MAX_ROWS:
        raise ValueError(f"an export holds at most {exports.MAX_ROWS} rows")
    return exports.csv_response(
        name=name,
        header=[str(column.label) for column in columns],
        rows=([column.value(row) for column in columns] for row in rows),
    )
