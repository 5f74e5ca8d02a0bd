"""The pure rooms stay pure and quick to load: the calculator starts with nothing but them."""

import subprocess
import sys

_LOAD = """
import sys
import billing.calculator.command
import billing.catalog.domain
import billing.rating.pipeline
loaded = {name.partition(".")[0] for name in sys.modules}
print(*sorted(loaded - set(sys.stdlib_module_names)))
"""


def test_they_load_nothing_but_themselves_and_the_standard_library() -> None:
    isolated = subprocess.run(
        [sys.executable, "-c", _LOAD], capture_output=True, text=True, check=True
    )
    loaded = set(isolated.stdout.split())
    # What an installed package may hook into every start is not ours.
    assert {"billing", "kernel"} <= loaded
    assert not loaded & {"django", "celery", "stripe", "psycopg2", "rest_framework", "msgspec"}
    assert not loaded & {"metering", "tenants", "work", "config"}
