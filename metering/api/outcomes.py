"""What became of the events that this process took in over HTTP, for ``/metrics``; no tenant is named."""

from typing import Final

from prometheus_client import Counter

from metering.ingest.services.admit import IngestResult

_EVENTS: Final = Counter(
    "summit_events", "Events that came over HTTP, by what became of them.", ["outcome"]
)
_ACCEPTED, _DUPLICATE, _REJECTED = (
    _EVENTS.labels(outcome=outcome) for outcome in ("accepted", "duplicate", "rejected")
)


def count_outcomes(result: IngestResult) -> None:
    """Add a request's outcome, once it has committed."""
    _ACCEPTED.inc(result.accepted)
    _DUPLICATE.inc(result.duplicates)
    _REJECTED.inc(len(result.rejected))
