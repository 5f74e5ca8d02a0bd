"""The OpenAPI document and the page made from it."""

import re

import pytest
from django.core.management import call_command
from django.test import Client

from tests.api.test_answers import OPERATIONS, document


def test_the_document_is_valid_without_a_warning() -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", "/dev/null")


def test_the_document_is_served(client: Client) -> None:
    answer = client.get("/api/schema/")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("application/vnd.oai.openapi")


def test_the_page_shows_every_operation_under_the_strict_policy(client: Client) -> None:
    answer = client.get("/api/docs/")
    page = answer.content.decode()
    assert answer.status_code == 200
    for method, path in OPERATIONS:
        assert f"{method} {path}" in page
        assert f'id="{document()["paths"][path][method.lower()]["operationId"]}"' in page
    assert "unsafe-inline" not in answer["Content-Security-Policy"]
    assert not re.search(r"<script(?![^>]* src=\"/static/)", page)
    assert "style=" not in page
    assert not re.search(r"(src|href)=\"(https?:)?//", page)


@pytest.mark.parametrize(
    "path", ["/api/v1/apps/", "/api/v1/invoices/", "/api/v1/nothing", "/api/v1/", "/api/nothing"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_address_that_is_not_there_is_a_problem_and_never_redirected(
    client: Client, method: str, path: str
) -> None:
    answer = client.generic(method, path, data=b"{}", content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert answer["Content-Type"] == "application/problem+json"
