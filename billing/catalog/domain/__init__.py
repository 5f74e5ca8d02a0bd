"""Plan documents: read into terms, with every fault listed, and recognised when they come again.

Pure. Start reading at `plan.py`.
"""

from billing.catalog.domain.faults import Fault, PlanFaults
from billing.catalog.domain.plan import content_hash, parse_plan
from billing.catalog.domain.price import parse_price

__all__ = ["Fault", "PlanFaults", "content_hash", "parse_plan", "parse_price"]
