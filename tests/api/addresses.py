"""Every address that the service answers, walked from the URL configuration."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from django.urls import URLPattern, URLResolver, get_resolver

_PARAMETER = re.compile(r"<(?:(?P<converter>\w+):)?(?P<name>\w+)>")
_REGEX_PARAMETER = re.compile(r"\(\?P<(?P<name>\w+)>[^)]*\)")


@dataclass(frozen=True, kw_only=True)
class Address:
    """One route; `parameters` are names and converters of its variable parts."""

    route: str
    name: str
    parameters: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return self.route

    @property
    def names(self) -> frozenset[str]:
        return frozenset(name for name, _ in self.parameters)

    def path(self, values: dict[str, str]) -> str:
        """The address with its variable parts filled in."""
        return "/" + _PARAMETER.sub(lambda found: values[found["name"]], self.route)


def all_addresses() -> list[Address]:
    """In the order in which they are tried."""
    return list(_walk(get_resolver().url_patterns, ""))


def _walk(patterns: list[URLPattern | URLResolver], prefix: str) -> Iterator[Address]:
    for pattern in patterns:
        part = str(pattern.pattern)
        if hasattr(pattern.pattern, "_regex"):  # written as a regular expression
            part = _REGEX_PARAMETER.sub(r"<\g<name>>", part).strip("^$").replace("\\Z", "")
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern.url_patterns, prefix + part)
        else:
            yield Address(
                route=prefix + part,
                name=pattern.name or "",
                parameters=tuple(
                    (found["name"], found["converter"] or "str")
                    for found in _PARAMETER.finditer(prefix + part)
                ),
            )
