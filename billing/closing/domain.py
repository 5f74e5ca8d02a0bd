"""What may hinder the close of a month. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class Hindrance(StrEnum):
    """Why a month of the books can't be closed yet, in the order in which it is mended."""

    NOT_OVER = "not_over"
    EARLIER_OPEN = "earlier_open"
    """A month before it, into which something was posted, is open."""
    NOT_BILLED = "not_billed"
    """Subscriptions with a boundary in the month or before, which nobody billed."""
    LEFT_ASIDE = "left_aside"
    """The same, left aside for data that contradict."""
    DRAFTS = "drafts"
    """Drafts whose grace ended in the month or before, which were not issued."""
    NOT_EARNED = "not_earned"
    """Revenue that was billed in advance is not recognised up to the month's last day."""
    UNBALANCED = "unbalanced"
    """Transactions of the month that do not sum to zero."""
    POSTED_OTHERWISE = "posted_otherwise"
    """Invoices issued in the month whose posting is not their total."""
    DRIFTED = "drifted"
    """Days of the month whose newest certificate says that something differs."""
    NOT_CERTIFIED = "not_certified"
    """Days of the month with postings that have no certificate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hinder:
    """One reason: how many things there are, and the first of them by its own name."""

    what: Hindrance
    count: int
    first: str = ""
