"""The navigation of a front: what the frames draw at the side or the top."""

from collections.abc import Sequence
from dataclasses import dataclass

from ui.cells import Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One place to go; `icon` is one of `ui.vendor_assets.ICONS`."""

    label: Text
    url: str
    icon: str
    current: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Places that belong together, under a heading unless `label` is empty."""

    items: Sequence[Item]
    label: Text = ""
