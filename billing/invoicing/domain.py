"""What an invoice may become, and its number. Pure."""

from enum import StrEnum

from kernel.errors import Conflict


class InvoiceStatus(StrEnum):
    DRAFT = "draft"
    OPEN = "open"
    PAID = "paid"
    VOID = "void"
    UNCOLLECTIBLE = "uncollectible"


class InvoiceKind(StrEnum):
    SUBSCRIPTION = "subscription"
    """At a boundary of its periods."""
    CHANGE = "change"
    """At once, for a change of plan."""
    FINAL = "final"
    """At once, for the usage of a subscription that was cancelled within a period."""
    LATE = "late"
    """For late usage that no next document bills: the subscription ended, or its policy says so."""
    ONE_OFF = "one_off"
    """For something done or delivered once; like the following ones it has no subscription."""
    MILESTONE = "milestone"
    """For a step of a project that was reached."""
    LICENCE = "licence"
    """For the right to run the product over a term."""
    TRUE_UP = "true_up"
    """For what is missing to what was committed for a period."""
    TOP_UP = "top_up"
    """For money paid ahead; paid, it is the tenant's cash balance."""
    CONSOLIDATED = "consolidated"
    """For the documents of one boundary of several subscriptions, whose lines it took."""


class LateUsageOutcome(StrEnum):
    """What became of late usage of a period that had been billed."""

    ADJUSTED = "adjusted"
    """A document bills or gives back the difference."""
    UNCHANGED = "unchanged"
    """It changes no amount."""
    WAIVED = "waived"
    """The difference is not billed, by decision."""


class RequestedAction(StrEnum):
    """What two people do to an issued invoice: one asks, another approves."""

    CREDIT = "credit"
    """A credit note on amounts of its lines."""
    WRITE_OFF = "write_off"
    """What it still owes is given up as lost."""


class InvoiceRequestState(StrEnum):
    """What became of what was asked."""

    WAITING = "waiting"
    DONE = "done"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    """Who asked took it back."""
    EXPIRED = "expired"
    """The invoice has changed so that it can't be done any more, or it waited too long."""


class RunState(StrEnum):
    """queued → running → done or failed; queued, running ↔ paused; all but done → cancelled; failed →
    running, when it is tried again."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


HALTED: frozenset[RunState] = frozenset({RunState.PAUSED, RunState.CANCELLED})
"""States in which no worker begins another chunk of the run."""
PAUSABLE: frozenset[RunState] = frozenset({RunState.QUEUED, RunState.RUNNING})
RESUMABLE: frozenset[RunState] = frozenset({RunState.PAUSED})
CANCELLABLE: frozenset[RunState] = frozenset(
    {RunState.QUEUED, RunState.RUNNING, RunState.PAUSED, RunState.FAILED}
)
RETRIABLE: frozenset[RunState] = frozenset({RunState.FAILED})
OVER: frozenset[RunState] = frozenset({RunState.DONE, RunState.FAILED, RunState.CANCELLED})
"""States in which nothing more happens unless a person decides it."""


TRANSITIONS: dict[InvoiceStatus, frozenset[InvoiceStatus]] = {
    InvoiceStatus.DRAFT: frozenset({InvoiceStatus.OPEN, InvoiceStatus.VOID}),
    InvoiceStatus.OPEN: frozenset({InvoiceStatus.PAID, InvoiceStatus.UNCOLLECTIBLE}),
    InvoiceStatus.UNCOLLECTIBLE: frozenset({InvoiceStatus.PAID}),
    InvoiceStatus.PAID: frozenset(),
    InvoiceStatus.VOID: frozenset(),
}
"""Every change of status that may be; the database's trigger holds the same table.

An issued invoice stands in the tenant's portal from that moment: it was sent, so only a draft becomes
void, and what is wrong with an issued one is taken back by a credit note.
"""

DAYS_TO_PAY = 15


def check_transition(*, before: InvoiceStatus, after: InvoiceStatus) -> None:
    """Raises Conflict `invoice_status` when an invoice may not go from one status to the other."""
    if after not in TRANSITIONS[before]:
        raise Conflict(
            "invoice_status", f"An invoice that is {before} can't become {after}.", field="status"
        )


def invoice_number(*, prefix: str, year: int, sequence: int) -> str:
    """`INV-2026-000001`: gapless within prefix and year."""
    return f"{prefix}-{year}-{sequence:06d}"


def credit_note_prefix(invoice_prefix: str) -> str:
    """Credit notes have a series of their own, beside the seller's invoices: `INV` and `INV-CN`."""
    return f"{invoice_prefix}-CN"
