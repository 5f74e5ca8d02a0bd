"""What is wrong with a plan document: all of it at once, so that it can be mended in one go."""

from collections.abc import Sequence
from dataclasses import dataclass

from kernel.errors import Invalid

_MOST_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault: where ("prices[1].tiers[0].up_to"), its stable code, and how to mend it."""

    path: str
    code: str
    message: str


class PlanFaults(Invalid):
    """The document is refused as a whole; `faults` lists every fault in document order.

    Code `invalid_plan`; `field` is the path of the first fault. `params["faults"]` holds all as
    plain values.
    """

    def __init__(self, faults: Sequence[Fault], *, code: str = "invalid_plan") -> None:
        self.faults = tuple(faults)
        shown = "; ".join(fault.message for fault in self.faults[:_MOST_SHOWN])
        if len(self.faults) > _MOST_SHOWN:
            shown += f"; and {len(self.faults) - _MOST_SHOWN} more"
        super().__init__(
            code,
            shown,
            field=self.faults[0].path,
            params={
                "faults": [
                    {"path": fault.path, "code": fault.code, "message": fault.message}
                    for fault in self.faults
                ]
            },
        )
