"""A language beside those that are shipped, for a test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from django.conf import settings
from django.utils.translation import trans_real

from billing.invoicing.documents import words

_KNOWN = (("Invoice", "Rechnung"), ("Credit note", "Gutschrift"), ("Amount due", "Zahlbetrag"))


@pytest.fixture
def german(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A catalogue that knows a few words."""
    catalog = Catalog(locale="de")
    for text, translated in _KNOWN:
        catalog.add(text, translated, context="document")
    folder = tmp_path / "de" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    with (folder / "django.mo").open("wb") as file:
        write_mo(file, catalog)
    monkeypatch.setattr(settings, "LOCALE_PATHS", [*settings.LOCALE_PATHS, tmp_path])
    _forget()
    yield
    monkeypatch.undo()
    _forget()


def _forget() -> None:
    trans_real._translations.clear()  # type: ignore[attr-defined]  # has no public way
    words._words.cache_clear()
    words._has_catalogue.cache_clear()
