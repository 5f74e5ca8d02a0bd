"""``GET /api/v1/events/rejected``: the tenant's events that were not taken, and why."""

from datetime import datetime
from typing import Final
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from kernel.errors import Invalid
from metering.quarantine.queries import RejectedRow, rejected_page
from tenants.api.endpoint import ListEndpoint, PageQuery
from tenants.api.schema import (
    ANY_OBJECT,
    INSTANT,
    NULLABLE_INSTANT,
    TEXT,
    answers,
    page_of,
    record,
)
from tenants.domain import KeyScope

REJECTED: Final = record(
    received_at=INSTANT,
    subject=TEXT,
    source=TEXT,
    id=TEXT,
    code=TEXT,
    detail=TEXT,
    content={
        **ANY_OBJECT,
        "nullable": True,
        "description": "What was sent, as far as it was known; users are hashed.",
    },
    replayed_at={**NULLABLE_INSTANT, "description": "When it was taken in after all."},
)


class RejectedQuery(PageQuery):
    """All, or those of one code."""

    code = serializers.CharField(max_length=64, default="", help_text="Only this error code.")


class RejectedView(ListEndpoint):
    """The quarantine, the newest first."""

    key_scopes = {"GET": {KeyScope.READ}}
    query = RejectedQuery
    list_name = "rejected events"

    @extend_schema(
        operation_id="list_rejected_events",
        summary="List rejected events",
        description="Newest first. An event that is sent again and again with one fault is kept once.",
        parameters=[RejectedQuery],
        responses=answers(page_of(REJECTED)),
    )
    def get(self, request: Request) -> Response:
        before = _position(self.after)
        with self.scope():
            rows = rejected_page(
                tenant_id=self.caller.tenant_id,
                limit=self.wanted,
                code=self.asked["code"],
                before=before,
            )
        return self.page(
            rows,
            position=lambda row: f"{row.received_at.isoformat()} {row.id}",
            shown=self._shown,
        )

    def _shown(self, row: RejectedRow) -> dict[str, object]:
        return {
            "received_at": self.instant(row.received_at),
            "subject": row.subject,
            "source": row.source,
            "id": row.event_id,
            "code": row.code,
            "detail": row.detail,
            "content": row.content,
            "replayed_at": self.instant(row.replayed_at),
        }


def _position(text: str) -> tuple[datetime, UUID] | None:
    if not text:
        return None
    try:
        at, row_id = text.split(" ")
        return datetime.fromisoformat(at), UUID(row_id)
    except ValueError:
        raise Invalid("invalid_cursor", "Send `next` as it was.", field="cursor") from None
