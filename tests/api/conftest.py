"""Tests of the API share two tenants with like data, made once a module."""

from collections.abc import Iterator

import pytest

from tests.api.world import World, two_worlds
from tests.conftest import assert_ledger_balances, empty_tables


@pytest.fixture(scope="module")
def worlds(schema: None) -> Iterator[tuple[World, World]]:
    """`alpha` and `bravo`; tests of one module see each other's additions."""
    empty_tables()
    yield two_worlds()
    assert_ledger_balances()


@pytest.fixture
def alpha(worlds: tuple[World, World]) -> World:
    return worlds[0]


@pytest.fixture
def bravo(worlds: tuple[World, World]) -> World:
    return worlds[1]
