"""What every address of the API is built on: caller, scope, query, pages, repeated calls.

A view makes one service or query call inside `scope`, which shows it its tenant's rows only. It
declares who may call it (`key_scopes`) and what it may be asked (`query`); what isn't declared is
refused: an unknown parameter is more often a typing error than meant to be ignored.
"""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any, ClassVar, TypeVar, cast

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import translation
from rest_framework import serializers
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from kernel import ids
from kernel.errors import Invalid, NotFound
from tenants import audit
from tenants.api.authentication import Caller, client_address
from tenants.api.cursors import Cursors
from tenants.api.parsing import StrictJsonParser, refuse_unstorable
from tenants.domain import KeyScope
from tenants.scope import tenant_scope

Row = TypeVar("Row")

MOST_ROWS = 100
USUAL_ROWS = 50
_LONGEST_REQUEST_ID = 64


class Strict(serializers.Serializer[Any]):
    """Fields of a body or query; a name that isn't declared is refused and named."""

    unknown_code: ClassVar[str] = "unknown_field"

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, Mapping):
            raise Invalid("not_an_object", "The body must be a JSON object.")
        unknown = sorted(set(map(str, data)) - set(self.fields))
        if unknown:
            known = ", ".join(sorted(self.fields)) or "none"
            raise Invalid(
                self.unknown_code,
                f"{unknown[0][:80]!r} is not known here; known are: {known}.",
                field=unknown[0][:80],
            )
        return super().to_internal_value(data)


class Day(serializers.DateField):
    """A date in its one form, YYYY-MM-DD."""

    def to_internal_value(self, value: Any) -> date:
        if not isinstance(value, str) or len(value) != len("2026-03-01"):
            self.fail("invalid", format="YYYY-MM-DD")
        day: date = super().to_internal_value(value)
        return day


class Query(Strict):
    """The query of an address that takes no parameters; others add theirs."""

    unknown_code = "unknown_parameter"


class PageQuery(Query):
    """The query of a list."""

    limit = serializers.IntegerField(
        min_value=1, max_value=MOST_ROWS, default=USUAL_ROWS, help_text="Rows on the page."
    )
    cursor = serializers.CharField(
        required=False, max_length=500, help_text="`next` of the page before."
    )


class AlwaysJson(BaseContentNegotiation):
    """Answers in the one form that the address has, whatever the client would accept."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        # The types compare without their parameters: "application/json; charset=utf-8".
        wanted = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == wanted), None)

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: Any = None
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], renderers[0].media_type


class Endpoint(APIView):
    """One address of the API."""

    key_scopes: ClassVar[Mapping[str, AbstractSet[KeyScope]]] = {}
    query: ClassVar[type[Query]] = Query

    parser_classes: Sequence[type[BaseParser]] = (StrictJsonParser,)
    content_negotiation_class = AlwaysJson
    http_method_names = ["get", "head", "post", "put", "patch", "delete"]  # no OPTIONS

    asked: dict[str, Any]
    """The query's parameters, read and checked."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        # Programs read the answers: neither a cookie nor Accept-Language changes their words.
        with translation.override("en"):
            return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        # What a method wants is said only of one that the address has.
        if request.method in self.allowed_methods:
            self.asked = read_query(request, self.query)

    def finalize_response(
        self, request: Request, response: Response, *args: Any, **kwargs: Any
    ) -> Response:
        # Plain Django responses (files, stored answers) come through here as well.
        finished = super().finalize_response(request, response, *args, **kwargs)
        finished.headers.setdefault("Cache-Control", "no-store")
        finished.headers["Content-Language"] = "en"
        finished.headers["X-Request-Id"] = request_id_of(request)
        return finished

    @property
    def caller(self) -> Caller:
        """Whose key the request carries; permissions have let it in."""
        return cast("Caller", self.request.auth)

    def instant(self, instant: datetime | None) -> str | None:
        """The instant as answers show it: with the offset of the tenant's zone."""
        return None if instant is None else instant.astimezone(self.caller.zone).isoformat()

    @contextmanager
    def scope(self) -> Iterator[None]:
        """A transaction over the caller's tenant; audit records made inside say where from."""
        with originating(self.request), tenant_scope(self.caller.tenant_id):
            yield

    def body(self, shape: type[Strict]) -> dict[str, Any]:
        """The request's body, read and checked. Raises Invalid or ValidationError."""
        read = shape(data=self.request.data)
        read.is_valid(raise_exception=True)
        return dict(read.validated_data)


class ListEndpoint(Endpoint):
    """A list in pages: each begins after the last row of the one before."""

    query = PageQuery
    list_name: ClassVar[str]

    @property
    def after(self) -> str:
        """The position after which the page begins; empty for the first page.

        Raises Invalid `invalid_cursor`.
        """
        return self._cursors.position(self.asked.get("cursor"))

    @property
    def after_id(self) -> uuid.UUID | None:
        """The same where positions are ids."""
        return uuid.UUID(self.after) if self.after else None

    @property
    def wanted(self) -> int:
        """How many rows to ask for: one more than the page has tells whether another follows."""
        return int(self.asked["limit"]) + 1

    def page(
        self,
        rows: Sequence[Row],
        *,
        position: Callable[[Row], str],
        shown: Callable[[Row], Mapping[str, Any]],
    ) -> Response:
        """The answer with `wanted` rows or fewer."""
        kept = rows[: self.asked["limit"]]
        following = self._cursors.cursor(position(kept[-1])) if len(rows) > len(kept) else None
        return Response({"data": [shown(row) for row in kept], "next": following})

    @property
    def _cursors(self) -> Cursors:
        return Cursors(list_name=self.list_name, tenant_id=self.caller.tenant_id)


def read_query(request: Request, shape: type[Query]) -> dict[str, Any]:
    """The query's parameters. Raises Invalid or ValidationError; each may stand once."""
    given: dict[str, str] = {}
    for name, values in request.query_params.lists():
        if len(values) > 1:
            raise Invalid(
                "repeated_parameter",
                f"{name[:80]!r} is given twice; give it once.",
                field=name[:80],
            )
        refuse_unstorable(name)
        refuse_unstorable(values[0])
        given[name] = values[0]
    query = shape(data=given)
    query.is_valid(raise_exception=True)
    return dict(query.validated_data)


def path_id(text: str, *, prefix: str, missing: NotFound) -> uuid.UUID:
    """The UUID in an address. What can't be an id is answered like an id that nobody has."""
    try:
        return ids.parse_public_id(text, prefix=prefix)
    except Invalid:
        raise missing from None


def request_id_of(request: Request) -> str:
    """The id under which log and audit trail know the request: the client's own, or a new one."""
    django_request = request._request
    known: str | None = getattr(django_request, "summit_request_id", None)
    if known is None:
        given = request.headers.get("X-Request-Id", "")
        usable = given.isascii() and given.isprintable() and len(given) <= _LONGEST_REQUEST_ID
        known = given if given and usable else str(ids.new_id())
        django_request.summit_request_id = known  # type: ignore[attr-defined]  # ours, see above
    return known


@contextmanager
def originating(request: Request) -> Iterator[None]:
    """Audit records made inside carry the request's id and the client's address."""
    origin = audit.Origin(
        request_id=request_id_of(request), address=client_address(request._request)[:64]
    )
    with audit.originating(origin):
        yield


def file_answer(*, content: bytes, media_type: str, filename: str, sha256: str) -> HttpResponse:
    """A file to keep; `sha256` becomes its ETag."""
    return HttpResponse(
        content,
        content_type=media_type,
        headers={
            "Content-Disposition": f'attachment; filename="{filename}"',
            "ETag": f'"{sha256}"',
        },
    )
