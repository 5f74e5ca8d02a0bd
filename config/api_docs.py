"""The API's reference as a page, made from the OpenAPI document; needs no script and no network."""

import functools
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator

_METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A parameter, or a field of a body or answer; `depth` is how deep it is nested."""

    name: str
    kind: str
    required: bool
    text: str
    depth: int = 0

    @property
    def indent(self) -> range:
        return range(self.depth)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A status, what it means, and the fields of its body."""

    status: str
    media_types: tuple[str, ...]
    text: str
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one address."""

    id: str
    method: str
    path: str
    summary: str
    text: str
    parameters: tuple[Field, ...]
    body_types: tuple[str, ...]
    body: tuple[Field, ...]
    answers: tuple[Answer, ...]
    problems: tuple[Answer, ...] = field(default=())


@require_safe
def reference(request: HttpRequest) -> HttpResponse:
    """Every operation with its parameters, bodies and answers."""
    return render(request, "ui/api_reference.html", {"operations": _operations()})


@functools.cache
def _operations() -> tuple[Operation, ...]:
    generator = SchemaGenerator()  # type: ignore[no-untyped-call]  # ships no types
    document: dict[str, Any] = generator.get_schema(  # type: ignore[no-untyped-call]  # the same
        request=None, public=True
    )
    return tuple(
        _operation(document, path=path, method=method, told=item[method])
        for path, item in sorted(document["paths"].items())
        for method in _METHODS
        if method in item
    )


def _operation(
    document: dict[str, Any], *, path: str, method: str, told: dict[str, Any]
) -> Operation:
    content = told.get("requestBody", {}).get("content", {})
    answers = [_answer(document, status, each) for status, each in told["responses"].items()]
    return Operation(
        id=told["operationId"],
        method=method.upper(),
        path=path,
        summary=told.get("summary", path),
        text=told.get("description", ""),
        parameters=tuple(
            Field(
                name=each["name"],
                kind=_kind(_resolved(document, each["schema"])),
                required=each.get("required", False),
                text=" ".join(part for part in (_where(each["in"]), _text(each)) if part),
            )
            for each in told.get("parameters", ())
        ),
        body_types=tuple(content),
        body=_first_fields(document, content),
        answers=tuple(each for each in answers if each.status.startswith("2")),
        problems=tuple(each for each in answers if not each.status.startswith("2")),
    )


def _answer(document: dict[str, Any], status: str, told: dict[str, Any]) -> Answer:
    content = told.get("content", {})
    return Answer(
        status=status,
        media_types=tuple(content),
        text=told.get("description", ""),
        fields=_first_fields(document, content) if status.startswith("2") else (),
    )


def _first_fields(document: dict[str, Any], content: dict[str, Any]) -> tuple[Field, ...]:
    for media in content.values():
        return tuple(_fields(document, media.get("schema", {}), depth=0))
    return ()


def _fields(document: dict[str, Any], schema: dict[str, Any], *, depth: int) -> list[Field]:
    shape = _resolved(document, schema)
    if shape.get("type") == "array":
        return _fields(document, shape["items"], depth=depth)
    found: list[Field] = []
    for name, each in shape.get("properties", {}).items():
        below = _resolved(document, each)
        found.append(
            Field(
                name=name,
                kind=_kind(below),
                required=name in shape.get("required", ()),
                text=_text(each),
                depth=depth,
            )
        )
        found.extend(_fields(document, below, depth=depth + 1))
    return found


def _resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    for choices in ("oneOf", "allOf", "anyOf"):
        if choices in schema:
            return _resolved(document, schema[choices][0])
    if "$ref" not in schema:
        return schema
    found: dict[str, Any] = document
    for part in schema["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return found


def _kind(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"] if value)
    kind = str(schema.get("format") or schema.get("type", "any"))
    return f"{kind} | null" if schema.get("nullable") else kind


def _text(schema: dict[str, Any]) -> str:
    return str(schema.get("description", "")).replace("`", "")


def _where(place: str) -> str:
    return {"header": "Header.", "path": "Part of the address."}.get(place, "")
