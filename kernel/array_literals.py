"""PostgreSQL's text form of arrays: thousands of values as one parameter. Pure."""

from collections.abc import Iterable


def plain_array(values: Iterable[object]) -> str:
    """An array of values whose text holds no quote, comma, brace, space or backslash: numbers,
    UUIDs, dates. None stands for NULL."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def text_array(values: Iterable[str]) -> str:
    """An array of any texts (without NUL, which PostgreSQL has no place for)."""
    values = list(values)
    joined = "\x00".join(values)
    if values and '"' not in joined and "\\" not in joined:
        return '{"' + joined.replace("\x00", '","') + '"}'
    quoted = [value.replace("\\", "\\\\").replace('"', '\\"') for value in values]
    return '{"' + '","'.join(quoted) + '"}' if quoted else "{}"
