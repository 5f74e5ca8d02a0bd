"""``GET /api/v1/meters``: what is counted."""

from typing import Final

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from kernel.dimensions import DIMENSIONS
from metering.meters.domain import Aggregation
from metering.queries import known_meters
from tenants.api.endpoint import ListEndpoint, PageQuery
from tenants.api.schema import FLAG, TEXT, answers, list_of, one_of, page_of, record
from tenants.domain import KeyScope

METER: Final = record(
    key=TEXT,
    event_types=list_of(TEXT),
    aggregation=one_of(*Aggregation),
    dimensions={
        **list_of(one_of(*DIMENSIONS)),
        "description": "The properties by which the daily value is kept apart.",
    },
    by_kind={**FLAG, "description": "Whether kind is one of them."},
)


class MetersView(ListEndpoint):
    """The meters, which are the same for every tenant."""

    key_scopes = {"GET": {KeyScope.READ}}
    list_name = "meters"

    @extend_schema(
        operation_id="list_meters",
        summary="List meters, by key",
        parameters=[PageQuery],
        responses=answers(page_of(METER)),
    )
    def get(self, request: Request) -> Response:
        after = self.after
        with self.scope():
            known = known_meters()
        meters = [known[key] for key in sorted(known) if key > after]
        return self.page(
            meters[: self.wanted],
            position=lambda meter: meter.key,
            shown=lambda meter: {
                "key": meter.key,
                "event_types": sorted(meter.event_types),
                "aggregation": meter.aggregation.value,
                "dimensions": [each for each in DIMENSIONS if each in meter.dimensions],
                "by_kind": "kind" in meter.dimensions,
            },
        )
