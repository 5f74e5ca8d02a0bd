"""How often a process that works through many rows looks for cycles of dead objects."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_OBJECTS: Final = 50_000


def collect_seldom() -> None:
    """Let the collector leave alone what is loaded by now, which stays anyhow, and look at the rest once in
    ten thousands of objects: it took a fifth of a billing run, which makes no cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS, 20, 20)


@contextmanager
def collecting_seldom() -> Iterator[None]:
    """The same for the block, and for what is forked in it."""
    usual = gc.get_threshold()
    collect_seldom()
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()
