"""Look every day whether a period was not invoiced in time, and raise the alarm."""

import logging
from datetime import datetime

from billing.invoicing.uninvoiced import uninvoiced_count, uninvoiced_periods
from tenants.scope import system_scope

_LOG = logging.getLogger(__name__)

CHECK_KIND = "billing.check_uninvoiced"
"""The job that keeps the newest count, for the metrics."""


def check_uninvoiced(*, now: datetime) -> int:
    """How many periods have no invoice ten days after their end; any is an error in the log, with the oldest."""
    with system_scope(purpose="periods not invoiced in time"):
        count = uninvoiced_count(now=now)
        oldest = uninvoiced_periods(now=now, limit=1)
    if oldest:
        first = oldest[0]
        _LOG.error(
            "%d periods are not invoiced 10 days after their end; the oldest is that of %s, ended %s, held: %s %s",
            count,
            first.tenant_key,
            first.ended_at.isoformat(),
            first.held.value,
            first.code,
        )
    return count
