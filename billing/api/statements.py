"""Statements of account over HTTP: asked for, read, their files."""

from typing import Any, Final
from uuid import UUID

from django.http import HttpResponse, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.ledger.domain import BalanceKind
from billing.statements.domain.ageing import AgeBucket
from billing.statements.domain.states import DetailTable, StatementOrigin, StatementState
from billing.statements.queries import StatementRow, statement_file, statement_of, statement_page
from billing.statements.services.request_statement import request_statement
from kernel import clock
from kernel.errors import NotFound
from kernel.ids import public_id
from tenants.api.endpoint import Day, Endpoint, ListEndpoint, PageQuery, Strict, path_id
from tenants.api.idempotency import Answer, answer_once
from tenants.api.schema import (
    AMOUNT,
    DATE,
    IDEMPOTENCY_KEY,
    INSTANT,
    NULLABLE_INSTANT,
    TEXT,
    UNSAFE,
    WHOLE,
    answers,
    id_of,
    list_of,
    one_of,
    page_of,
    record,
)
from tenants.domain import KeyScope

_FIGURES: Final = record(
    opening={**AMOUNT, "description": "What was owed before the period."},
    movements=list_of(record(kind=TEXT, count=WHOLE, amount=AMOUNT)),
    closing={**AMOUNT, "description": "What is owed at its end."},
    open_items={
        **record(**{bucket.value: AMOUNT for bucket in AgeBucket}),
        "description": "What is open of the invoices, by days since the due date.",
    },
    balance={
        **list_of(
            record(kind=one_of(*BalanceKind), opening=AMOUNT, movements=AMOUNT, closing=AMOUNT)
        ),
        "description": "The prepaid balance.",
    },
    billed={
        **record(documents=WHOLE, amount=AMOUNT),
        "description": "What the period's invoices less its credit notes come to.",
    },
    details={
        **record(**{table.value: record(rows=WHOLE, sum=AMOUNT) for table in DetailTable}),
        "description": "Rows and control sum of each detail table, which every file was compared with.",
    },
)
STATEMENT: Final = {
    **record(
        id=id_of("stm"),
        currency=TEXT,
        **{
            "from": {**DATE, "description": "The first local day."},
            "to": {**DATE, "description": "The local day after the last."},
        },
        origin=one_of(*StatementOrigin),
        state=one_of(*StatementState),
        requested_at=INSTANT,
        finished_at=NULLABLE_INSTANT,
        error={
            **record(code=TEXT, detail=TEXT),
            "nullable": True,
            "description": "Why it failed.",
        },
        figures={**_FIGURES, "nullable": True, "description": "There once it is ready."},
        files=list_of(record(name=TEXT, media_type=TEXT, size=WHOLE, sha256=TEXT)),
    ),
    "description": "Sums are told once it is ready.",
}

_STATEMENT_ID: Final = OpenApiParameter("statement_id", id_of("stm"), OpenApiParameter.PATH)
_FILE: Final = OpenApiParameter(
    "file_name", TEXT, OpenApiParameter.PATH, description="A name of the statement's `files`."
)
_MARCH: Final = OpenApiExample(
    "A month",
    {"currency": "CNY", "from": "2026-03-01", "to": "2026-04-01"},
    request_only=True,
)


class NewStatement(Strict):
    """Of which currency and days."""

    currency = serializers.CharField(max_length=3, help_text="ISO 4217.")

    def get_fields(self) -> dict[str, Any]:
        # `from` is a word of Python and can't be an attribute's name.
        return {
            **super().get_fields(),
            "from": Day(help_text="The first local day."),
            "to": Day(help_text="The local day after the last."),
        }


class StatementsView(ListEndpoint):
    """The tenant's statements of account."""

    key_scopes = {"GET": {KeyScope.READ}, "POST": {KeyScope.FULL}}
    list_name = "statements"

    @extend_schema(
        operation_id="list_statements",
        summary="List statements of account, newest first",
        parameters=[PageQuery],
        responses=answers(page_of(STATEMENT)),
    )
    def get(self, request: Request) -> Response:
        with self.scope():
            rows = statement_page(
                tenant_id=self.caller.tenant_id, after=self.after_id, limit=self.wanted
            )
        return self.page(
            rows, position=lambda row: str(row.id), shown=lambda row: _statement(self, row)
        )

    @extend_schema(
        operation_id="request_statement",
        summary="Ask for a statement of account",
        description=(
            "Of days that are over, in one currency. It is made in the background: read it again until its "
            "`state` leaves `requested`. It is `ready` only where the ledger, the documents and every "
            "file, read back, agree; else it is `failed` and says which sum differs."
        ),
        parameters=[IDEMPOTENCY_KEY],
        request=NewStatement,
        responses=answers(STATEMENT, *UNSAFE, status=202),
        examples=[_MARCH],
    )
    def post(self, request: Request) -> HttpResponse:
        asked = self.body(NewStatement)

        def ask() -> Answer:
            statement_id = request_statement(
                tenant_id=self.caller.tenant_id,
                currency=asked["currency"],
                starts_on=asked["from"],
                ends_on=asked["to"],
                now=clock.now(),
                actor=self.caller.actor,
            )
            row = statement_of(statement_id=statement_id, tenant_id=self.caller.tenant_id)
            return Answer(data=_statement(self, row), status=202)

        return answer_once(
            request=request,
            endpoint="POST /statements",
            content=[asked["currency"], asked["from"].isoformat(), asked["to"].isoformat()],
            call=ask,
        )


class StatementView(Endpoint):
    """One statement of account."""

    key_scopes = {"GET": {KeyScope.READ}}

    @extend_schema(
        operation_id="read_statement",
        summary="Read a statement of account",
        parameters=[_STATEMENT_ID],
        responses=answers(STATEMENT, 404),
    )
    def get(self, request: Request, statement_id: str) -> Response:
        wanted = _id(statement_id)
        with self.scope():
            row = statement_of(statement_id=wanted, tenant_id=self.caller.tenant_id)
        return Response(_statement(self, row))


class StatementFileView(Endpoint):
    """A file of a statement."""

    key_scopes = {"GET": {KeyScope.READ}}

    @extend_schema(
        operation_id="download_statement_file",
        summary="Download a file of a statement",
        description="The PDF, or a detail table as CSV, XLSX or Parquet; the same bytes every time.",
        parameters=[_STATEMENT_ID, _FILE],
        responses=answers(OpenApiTypes.BINARY, 404, media_type="application/octet-stream"),
    )
    def get(self, request: Request, statement_id: str, file_name: str) -> StreamingHttpResponse:
        wanted = _id(statement_id)
        with self.scope():
            found = statement_file(
                statement_id=wanted, name=file_name, tenant_id=self.caller.tenant_id
            )
        return StreamingHttpResponse(
            found.parts(),
            content_type="application/octet-stream",
            headers={
                "Content-Disposition": f'attachment; filename="{found.filename}"',
                "Content-Length": str(found.file.size),
                "ETag": f'"{found.file.sha256}"',
            },
        )


def _id(text: str) -> UUID:
    missing = NotFound("statement_not_found", "There is no such statement.", field="statement")
    return path_id(text, prefix="stm", missing=missing)


def _statement(endpoint: Endpoint, row: StatementRow) -> dict[str, Any]:
    failed = row.state is StatementState.FAILED
    return {
        "id": public_id("stm", row.id),
        "currency": row.currency,
        "from": row.first_day.isoformat(),
        "to": row.ends_on.isoformat(),
        "origin": row.origin.value,
        "state": row.state.value,
        "requested_at": endpoint.instant(row.requested_at),
        "finished_at": endpoint.instant(row.finished_at),
        "error": {"code": row.failure_code, "detail": row.failure} if failed else None,
        "figures": row.figures,
        "files": [
            {
                "name": file.name,
                "media_type": file.media_type,
                "size": file.size,
                "sha256": file.sha256,
            }
            for file in row.files
        ],
    }
