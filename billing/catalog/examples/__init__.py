"""Example price books, as `load_plans` takes them; ``README.md`` tells where their prices come from."""

import json
from pathlib import Path
from typing import Any


def plans(book: str) -> list[dict[str, Any]]:
    """The plan documents of an example book, such as ``chat-cloud``."""
    path = Path(__file__).with_name(f"{book}.json")
    documents: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["plans"]
    return documents
