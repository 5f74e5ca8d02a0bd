"""A draft that was just rated, on its way to being issued."""

from dataclasses import dataclass

from billing.invoicing.drafting import Contract, Draft
from billing.invoicing.late_periods import Late
from billing.invoicing.models import Invoice


@dataclass(frozen=True, slots=True, kw_only=True)
class Rated:
    """A draft's row, as it is stored with its lines, and what it comes to.

    The row's tenant and subscription are loaded. `corrections` is how many its period's days had before
    its usage was read.
    """

    invoice: Invoice
    contract: Contract
    draft: Draft
    corrections: int
    late: Late | None = None
    """The late usage that the document settles; None where it is no subscription's next invoice."""
