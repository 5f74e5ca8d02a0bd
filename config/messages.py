"""Texts to translate: collected into ``locale/`` and checked.

``python -m config.messages`` collects: new texts come into each catalogue without a translation, texts
that nothing uses any more leave it. ``python -m config.messages check`` changes nothing and fails when a
catalogue lacks a text, has one that is not translated or only guessed, or a translation that does
not fit its placeholders. Catalogues are compiled at set-up.
"""

import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import read_po, write_po

_ROOT: Final = Path(__file__).resolve().parent.parent
_LOCALES: Final = ("zh_Hans",)
_SOURCES: Final = ("billing", "console", "kernel", "metering", "portal", "tenants", "ui", "work")
_METHODS: Final = [
    ("**/templates/**.html", "ui.i18n_extract:extract_template"),
    ("**/templates/**.txt", "ui.i18n_extract:extract_template"),
    ("**.py", "python"),
]
_KEYWORDS: Final = {
    **DEFAULT_KEYWORDS,
    "gettext_lazy": None,
    "ngettext_lazy": (1, 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext_lazy": ((1, "c"), 2, 3),
}
_PLACEHOLDER: Final = re.compile(r"%\((\w+)\)[sd]")


def main(arguments: list[str]) -> int:
    """Collect, or with ``check`` only tell what is missing."""
    template = extracted()
    faults: list[str] = []
    for locale in _LOCALES:
        path = _ROOT / "locale" / locale / "LC_MESSAGES" / "django.po"
        catalog = _stored(path, locale=locale)
        before = path.read_bytes() if path.exists() else b""
        catalog.update(template, no_fuzzy_matching=True)
        catalog.obsolete.clear()
        after = _written(catalog)
        if arguments == ["check"]:
            if after != before:
                faults.append(f"{path}: does not hold the texts of the code; run `make messages`")
            faults.extend(f"{path}: {fault}" for fault in faults_of(catalog))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(after)
            for fault in faults_of(catalog):
                sys.stdout.write(f"{fault}\n")
    for fault in faults:
        sys.stderr.write(f"{fault}\n")
    return 1 if faults else 0


def extracted() -> Catalog:
    """All texts of the code and the templates, without translations."""
    catalog = Catalog(project="Summit", charset="utf-8", header_comment="", fuzzy=False)
    for source in _SOURCES:
        for name, _line, message, comments, context in extract_from_dir(
            _ROOT / source,
            method_map=_METHODS,
            keywords=_KEYWORDS,
            comment_tags=("Translators:",),
        ):
            catalog.add(
                message,
                locations=[(f"{source}/{name}", 0)],
                auto_comments=comments,
                context=context,
            )
    return catalog


def faults_of(catalog: Catalog) -> Iterator[str]:
    """What is wrong with the catalogue's translations."""
    for message in catalog:
        if not message.id:
            continue
        if message.fuzzy:
            yield f"only guessed: {_shown(message)}"
        translations = _texts(message.string)
        if not translations or not all(translations):
            yield f"not translated: {_shown(message)}"
            continue
        wanted = set(_PLACEHOLDER.findall(" ".join(_texts(message.id))))
        for text in translations:
            given = set(_PLACEHOLDER.findall(text))
            if given - wanted or (message.python_format and wanted - given - {"count"}):
                yield f"placeholders differ: {_shown(message)} — {text}"


def _texts(value: str | tuple[str, ...] | list[str] | None) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value or ())


def _shown(message: Message) -> str:
    return " | ".join(_texts(message.id))


def _stored(path: Path, *, locale: str) -> Catalog:
    if path.exists():
        with path.open("rb") as file:
            return read_po(file, locale=locale, domain="django")
    return Catalog(locale=locale, domain="django", project="Summit", fuzzy=False)


def _written(catalog: Catalog) -> bytes:
    """The catalogue without dates and line numbers, so that only changed texts change it."""
    target = io.BytesIO()
    write_po(
        target,
        catalog,
        width=100,
        sort_by_file=False,
        sort_output=True,
        omit_header=False,
        include_lineno=False,
    )
    lines = target.getvalue().split(b"\n")
    return b"\n".join(
        line
        for line in lines
        if not line.startswith(
            (
                b'"POT-Creation-Date',
                b'"PO-Revision-Date',
                b'"Generated-By',
                b'"Last-Translator',
                b'"Language-Team',
                b'"Report-Msgid',
            )
        )
    )


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
