"""Copies the few front-end files that pages use from ``node_modules`` to ``ui/static/vendor``.

Run at set-up: ``python -m ui.vendor_assets``. The output is not kept in the repository. Pages need no
bundler: Tabler's style sheet, Chart.js, and one SVG sprite of the icons named in `ICONS`. Comments that
point to source maps are cut off, since the maps are not served.
"""

import re
import sys
from pathlib import Path
from typing import Final

ICONS: Final = (
    "activity",
    "alert-circle",
    "alert-triangle",
    "apps",
    "arrow-left",
    "arrow-right",
    "building",
    "building-bank",
    "calendar-event",
    "chart-bar",
    "check",
    "chevron-down",
    "chevron-left",
    "chevron-right",
    "chevron-up",
    "circle-check",
    "clock",
    "copy",
    "credit-card",
    "dashboard",
    "device-desktop",
    "download",
    "external-link",
    "file-invoice",
    "file-type-csv",
    "file-type-pdf",
    "history",
    "home",
    "info-circle",
    "key",
    "language",
    "lock",
    "logout",
    "mail",
    "math-function",
    "menu-2",
    "message",
    "moon",
    "notebook",
    "player-play",
    "plus",
    "receipt",
    "search",
    "selector",
    "settings",
    "shield-lock",
    "sun",
    "switch-horizontal",
    "trash",
    "user",
    "users",
    "x",
)

_ROOT: Final = Path(__file__).resolve().parent.parent
_SOURCE_MAP: Final = re.compile(r"^(?://|/\*)# sourceMappingURL=.*$", re.MULTILINE)

_FILES: Final = {
    "tabler.min.css": "@tabler/core/dist/css/tabler.min.css",
    "chart.umd.min.js": "chart.js/dist/chart.umd.min.js",
}


def sprite(*, icons: Path) -> str:
    """One SVG file whose symbols are the outline icons; raises FileNotFoundError for an unknown one."""
    symbols = []
    for name in ICONS:
        source = (icons / f"{name}.svg").read_text(encoding="utf-8")
        shapes = re.sub(r"<!--.*?-->|</?svg[^>]*>", "", source, flags=re.DOTALL)
        shapes = re.sub(r'<path stroke="none" d="M0 0h24v24H0z" fill="none"\s*/>', "", shapes)
        shapes = re.sub(r"\s*\n\s*", "", shapes)
        symbols.append(f'<symbol id="{name}" viewBox="0 0 24 24">{shapes}</symbol>')
    return '<svg xmlns="http://www.w3.org/2000/svg">' + "".join(symbols) + "</svg>\n"


def build(*, node_modules: Path, target: Path) -> list[str]:
    """Write the files that pages use into `target`; returns their names.

    Raises FileNotFoundError when a package is missing from `node_modules`.
    """
    target.mkdir(parents=True, exist_ok=True)
    for name, source in _FILES.items():
        text = (node_modules / source).read_text(encoding="utf-8")
        (target / name).write_text(_SOURCE_MAP.sub("", text), encoding="utf-8")
    outline = node_modules / "@tabler/icons/icons/outline"
    (target / "icons.svg").write_text(sprite(icons=outline), encoding="utf-8")
    return [*_FILES, "icons.svg"]


def main() -> int:
    node_modules = _ROOT / "node_modules"
    try:
        build(node_modules=node_modules, target=_ROOT / "ui/static/vendor")
    except FileNotFoundError as error:
        sys.stderr.write(f"{error.filename} is missing; run `npm ci` first.\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
