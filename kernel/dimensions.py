"""Dimensions: the properties by which a quantity is kept apart, as one canonical text.

A value of usage is stored once for each combination that occurred, so the combination is one key:
the kind first, as it is, then the others by name: "group", "group;direction=up;region=eu",
";region=eu", and "" where nothing was told. Two combinations are equal exactly when their texts are.
"""

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final

DIMENSIONS: Final = ("kind", "direction", "region", "deployment")
"""The properties of an event that usage may be kept apart by and that a price may filter."""

LONGEST_VALUE: Final = 64
"""Most characters of one value: letters, digits and . _ : - only, so that the text can be read back."""

LONGEST_TEXT: Final = 320
"""Most characters of the canonical text; room for a fifth dimension."""


_VALUE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", re.ASCII)


def is_dimension_value(text: str) -> bool:
    """Whether a text may be the value of a dimension."""
    return _VALUE.fullmatch(text) is not None


def canonical_dimensions(values: Mapping[str, str]) -> str:
    """The text of a combination; a dimension with the value "" is one that was not told."""
    told = sorted(name for name, value in values.items() if value and name != "kind")
    return "".join([values.get("kind", ""), *(f";{name}={values[name]}" for name in told)])


@lru_cache(maxsize=4096)
def dimensions_of(text: str) -> Mapping[str, str]:
    """The combination that a canonical text names; what was not told is left out."""
    kind, *others = text.split(";")
    found = {"kind": kind} if kind else {}
    for each in others:
        name, _, value = each.partition("=")
        found[name] = value
    return MappingProxyType(found)


@lru_cache(maxsize=4096)
def kept_dimensions(text: str, names: frozenset[str]) -> str:
    """The combination without the dimensions that are not among `names`."""
    return canonical_dimensions(
        {name: value for name, value in dimensions_of(text).items() if name in names}
    )


def passes(text: str, wanted: Mapping[str, Collection[str]]) -> bool:
    """Whether a combination has, for each property of a filter, one of its values."""
    found = dimensions_of(text)
    return all(found.get(name, "") in values for name, values in wanted.items())
