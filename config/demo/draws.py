"""Random draws that come out the same again. Pure."""

from random import Random


def draws(*names: object) -> Random:
    """A source of its own for each thing that is drawn, named by what it is for.

    So one tenant's days don't change when another tenant is added.
    """
    return Random("/".join(map(str, names)))  # noqa: S311  # nothing secret comes of it
