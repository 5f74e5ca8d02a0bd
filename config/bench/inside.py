"""One benchmark, inside its own database: ``python -m config.bench.inside bill 2000``."""

import json
import os
import sys
from collections.abc import Callable


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from config import database
    from config.bench import bill, close, ingest, reports, usage

    benches: dict[str, Callable[..., dict[str, object]]] = {
        "bill": bill.bench,
        "close": close.bench,
        "ingest": ingest.bench,
        "reports": reports.bench,
        "usage": usage.bench,
    }
    name, *numbers = sys.argv[1:]
    database.set_up(verbosity=0)
    sys.stdout.write(json.dumps(benches[name](*map(int, numbers))))


if __name__ == "__main__":
    main()
