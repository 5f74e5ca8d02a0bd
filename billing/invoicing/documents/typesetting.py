"""Setting a document with Typst: a layout and data in, bytes out.

The layout can reach nothing: its root is the folder of the layout, it imports no package, system fonts
are ignored, and the document's content comes in as one JSON text that is parsed as data. So a tenant's
name can be neither markup nor an address that something fetches (ADR on documents).
"""

import json
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typst

if TYPE_CHECKING:
    from typst import PDFStandard

_FONTS: Final = Path(str(files("manimgx_fonts_cjk")))

_ARCHIVED: Final["list[PDFStandard]"] = ["a-2a", "ua-1"]
"""For the archive (ISO 19005-2) and for screen readers (ISO 14289-1)."""

_PLAIN: Final["list[PDFStandard]"] = ["1.7"]
"""Where a name has characters that none of our fonts draws, such as an emoji: the archive's profile
forbids a text that can't be shown, and a document must be issued all the same."""

_setting = threading.Lock()


def typeset(
    *, layout: Path, data: Mapping[str, Any], dated: datetime, **options: Any
) -> bytes | list[bytes]:
    """The document that `layout` makes of `data`, which it reads as ``sys.inputs.document``; equal
    content and date give equal bytes. `options` are the compiler's."""
    inputs = {"document": json.dumps(data, ensure_ascii=False)}
    timestamp = int(dated.astimezone(UTC).timestamp())
    # A compiler keeps state between calls; one at a time is fast enough for a process.
    with _setting:
        compiler = _compiler(layout)
        try:
            result = compiler.compile(
                sys_inputs=inputs, timestamp=timestamp, pdf_standards=_ARCHIVED, **options
            )
        except typst.TypstError as error:
            if "could not be displayed" not in error.message:
                raise
            result = compiler.compile(
                sys_inputs=inputs, timestamp=timestamp, pdf_standards=_PLAIN, **options
            )
    if result is None:
        raise RuntimeError("the compiler gave no bytes though it was told no file to write to")
    return result


@cache
def _compiler(layout: Path) -> typst.Compiler:
    return typst.Compiler(
        input=layout, root=layout.parent, font_paths=_fonts(), ignore_system_fonts=True
    )


@cache
def _fonts() -> typst.Fonts:
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=True, font_paths=[_FONTS])
