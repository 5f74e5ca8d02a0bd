"""Lets Babel find the texts to translate in Django templates.

Django's own `templatize` turns a template into Python-like text in which each translated text is a
gettext call; Babel's Python extractor then reads those calls.
"""

import io
from collections.abc import Iterator
from typing import IO, Any

from babel.messages.extract import extract_python
from django.utils.translation.template import templatize


def extract_template(
    fileobj: IO[bytes], keywords: Any, comment_tags: Any, options: Any
) -> Iterator[Any]:
    """The texts of one template, as Babel asks for them."""
    source = fileobj.read().decode("utf-8")
    calls = templatize(source, origin=getattr(fileobj, "name", None))
    # The template's indentation is not Python's.
    lines = "\n".join(line.strip() for line in calls.splitlines())
    yield from extract_python(io.BytesIO(lines.encode("utf-8")), keywords, comment_tags, options)
