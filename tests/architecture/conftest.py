"""The two tenants of the API's tests, for what is proved of their rows."""

from tests.api.conftest import alpha, bravo, worlds

__all__ = ["alpha", "bravo", "worlds"]
