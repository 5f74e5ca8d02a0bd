"""Keep how many events came that were known already, for operations and their tenant to see."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from kernel import ids
from metering.ingest.models import Duplicates


def note_duplicates(*, of_tenants: Mapping[UUID, int], now: datetime) -> None:
    """Write a row for each tenant that sent some, in the caller's transaction.

    Rows are added and never counted up: two requests of one tenant would wait for one another.
    """
    Duplicates.objects.bulk_create(
        [
            Duplicates(tenant_id=tenant_id, received_at=now, id=ids.new_id(), events=events)
            for tenant_id, events in sorted(of_tenants.items())
            if events
        ],
        batch_size=1000,
        # There are none; without it rows of a distributed table go by COPY, which row security refuses.
        ignore_conflicts=True,
    )
