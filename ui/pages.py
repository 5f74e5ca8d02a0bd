"""Numbered pages: which ones a list offers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

PAGE_SIZE: Final = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """The page shown, of how many."""

    number: int
    count: int
    total: int
    size: int

    @property
    def first_row(self) -> int:
        """Number of the first row shown, from 1; 0 when there are none."""
        return (self.number - 1) * self.size + 1 if self.total else 0

    @property
    def last_row(self) -> int:
        return min(self.number * self.size, self.total)

    @property
    def offered(self) -> Sequence[int | None]:
        """Page numbers to link to: the ends and the neighbours; None stands for a gap."""
        wanted = sorted(
            number
            for number in {1, self.count, *range(self.number - 1, self.number + 2)}
            if 1 <= number <= self.count
        )
        offered: list[int | None] = []
        for number in wanted:
            if offered and isinstance(offered[-1], int) and number - offered[-1] > 1:
                offered.append(number - 1 if number - offered[-1] == 2 else None)
            offered.append(number)
        return offered


def pages(*, number: int, total: int, size: int = PAGE_SIZE) -> Pages:
    """The pages of `total` rows; a number beyond the last one means the last one."""
    count = max(1, -(-total // size))
    return Pages(number=min(max(1, number), count), count=count, total=total, size=size)
