"""Part of ``make check``: the migrations match the models, and can run while Summit serves.

django-migration-linter finds what would lock a table for long, or break the version that still runs
while the new one is rolled out. Run alone with ``python -m config.migration_rules``.
"""

import logging
import os
import sys

import django
from django.core.management import call_command
from django_migration_linter import MigrationLinter

from work.connections import OWNER

PACKAGES = ("billing", "metering", "tenants", "work")
# Safe although the linter, which looks at one migration alone, cannot see it: the table is made by
# an earlier migration of the same, first release, and is empty when the index is made.
ON_EMPTY_TABLES = ("0005_one_active_subscription", "0006_changes_and_balances")
# Makes texts longer, which rewrites no table and disturbs no reader.
LONGER_TEXTS = ("0003_meters_and_dimensions",)
# Makes a partitioned table in SQL of its own, which is taken for the change of one that is in use.
NEW_TABLES = ("0004_event_groups",)


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    logging.getLogger("django_migration_linter").setLevel(logging.WARNING)
    # Exits with status 1, and says what is missing, when a model has no migration.
    call_command("makemigrations", check_changes=True, dry_run=True, verbosity=1)
    linter = MigrationLinter(
        path=".",
        include_apps=PACKAGES,
        ignore_name=(*ON_EMPTY_TABLES, *LONGER_TEXTS, *NEW_TABLES),
        database=OWNER,
        no_cache=True,
        quiet=("ok", "ignore"),
    )
    linter.lint_all_migrations()
    return 1 if linter.has_errors else 0


if __name__ == "__main__":
    sys.exit(main())
