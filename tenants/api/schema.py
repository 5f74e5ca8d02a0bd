"""What the OpenAPI document says of every address: key, problems, pages, repeated calls.

Answers are plain dictionaries made by queries, so their shapes are written down as JSON Schema; a
test holds every answer against them.
"""

from collections.abc import Mapping
from typing import Any, Final

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers

from tenants.api.authentication import ApiKeyAuthentication

Shape = dict[str, Any]

TEXT: Final[Shape] = {"type": "string"}
NULLABLE_TEXT: Final[Shape] = {"type": "string", "nullable": True}
WHOLE: Final[Shape] = {"type": "integer"}
FLAG: Final[Shape] = {"type": "boolean"}
AMOUNT: Final[Shape] = {
    "type": "string",
    "pattern": r"^-?\d+(\.\d+)?$",
    "description": "A decimal number as text.",
}
INSTANT: Final[Shape] = {"type": "string", "format": "date-time"}
NULLABLE_INSTANT: Final[Shape] = {**INSTANT, "nullable": True}
DATE: Final[Shape] = {"type": "string", "format": "date"}
NULLABLE_DATE: Final[Shape] = {**DATE, "nullable": True}
ANY_OBJECT: Final[Shape] = {"type": "object", "additionalProperties": True}


def one_of(*values: str) -> Shape:
    """Text that is one of `values`."""
    return {"type": "string", "enum": sorted(values)}


def list_of(item: Shape) -> Shape:
    return {"type": "array", "items": item}


def record(**properties: Shape) -> Shape:
    """An object that has all of `properties` and no others."""
    return {
        "type": "object",
        "required": list(properties),
        "properties": dict(properties),
        "additionalProperties": False,
    }


def id_of(prefix: str) -> Shape:
    """A public id."""
    return {"type": "string", "pattern": f"^{prefix}_[0-9A-Za-z]{{22}}$"}


def page_of(item: Shape) -> Shape:
    """A page of a list."""
    return record(
        data=list_of(item),
        next={
            "type": "string",
            "nullable": True,
            "description": "The `cursor` of the next page; null on the last one.",
        },
    )


PERIOD: Final = record(starts_at=INSTANT, ends_at=INSTANT)


class Fault(serializers.Serializer[Any]):
    """One wrong field of a body or query."""

    field = serializers.CharField(help_text="Its path.")
    code = serializers.CharField()
    detail = serializers.CharField()


class Problem(serializers.Serializer[Any]):
    """Why a request was refused (RFC 9457)."""

    type = serializers.CharField(help_text="Always about:blank; look at `code`.")
    title = serializers.CharField()
    status = serializers.IntegerField(help_text="The HTTP status.")
    code = serializers.CharField(help_text="Stable; what a program should look at.")
    detail = serializers.CharField(help_text="For people: what was wrong, and the mend.")
    field = serializers.CharField(required=False, help_text="What was wrong, if it is one thing.")
    errors = Fault(many=True, required=False)  # type: ignore[assignment]  # a field of this name


_PROBLEMS: Final[Mapping[int, str]] = {
    400: "The request is wrong in itself.",
    401: "There is no API key, or it is not valid.",
    403: "The key's scope does not allow this.",
    404: "There is no such thing, or it is another tenant's.",
    409: "The request does not fit the present state.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "The Idempotency-Key came with another request before.",
    429: "Too much at once; Retry-After tells when to come again.",
    503: "There is no room just now; Retry-After tells when to come again.",
}


def answers(
    shape: object, *also: int, status: int = 200, media_type: str = "application/json"
) -> dict[int | tuple[int, str], Any]:
    """The answer of a call that goes well, and the problems: 400, 401, 403 and `also`."""
    told: dict[int | tuple[int, str], Any] = {(status, media_type): shape}
    for problem in (400, 401, 403, *also):
        told[(problem, "application/problem+json")] = OpenApiResponse(Problem, _PROBLEMS[problem])
    return told


UNSAFE: Final = (409, 413, 415, 422)
"""Problems of every call that changes something."""

IDEMPOTENCY_KEY: Final = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 255},
    OpenApiParameter.HEADER,
    description=(
        "Makes the call safe to repeat: sent again with the same key and body within 7 days, it is "
        "not carried out again but answered with the stored bytes and `Idempotent-Replayed: true`."
    ),
)


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # its metaclass-like registration is untyped
    """Tells OpenAPI of the API key."""

    target_class = ApiKeyAuthentication
    name = "ApiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "An API key: smt_live_…"}
