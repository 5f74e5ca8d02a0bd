"""What statements must look like so that they also run where their table is distributed (docs/how-to/grow.md)."""

import re

import pytest

from config.environment import CHECKOUT
from metering.scaleout.services.distribute import DISTRIBUTED

TABLES = sorted(model._meta.db_table for model in DISTRIBUTED)
INSERTS = re.compile(
    r"INSERT INTO (" + "|".join(TABLES) + r")\b(?P<rest>.*?)(?=INSERT INTO|\"\"\"|\n\n|\Z)",
    re.DOTALL,
)
SOURCES = [
    path for path in sorted((CHECKOUT / "metering").rglob("*.py")) if "migrations" not in path.parts
]


@pytest.mark.parametrize("table", TABLES)
def test_rows_that_are_selected_into_a_table_are_not_copied(table: str) -> None:
    """Over a cluster `INSERT … SELECT` goes by COPY, which row security refuses, unless it asks for rows
    back (RETURNING) or looks out for others (ON CONFLICT)."""
    for path in SOURCES:
        for found in INSERTS.finditer(path.read_text(encoding="utf-8")):
            statement = found.group("rest")
            if found.group(1) == table and "SELECT" in statement:
                # The one that is tried first on one node says what else is tried.
                if "metering_identities" in statement:
                    continue
                assert "RETURNING" in statement or "ON CONFLICT" in statement, (
                    f"{path.name}: INSERT INTO {table}{statement[:200]}"
                )


def test_each_has_the_tenant_in_its_keys() -> None:
    for model in DISTRIBUTED:
        assert "tenant_id" in {field.column for field in model._meta.pk_fields}
        for constraint in model._meta.constraints:
            assert "tenant_id" in getattr(constraint, "fields", ("tenant_id",)), constraint.name


def test_a_subquery_has_a_column() -> None:
    """Over a cluster a subquery's rows may go through a file, and rows without a column can't."""
    empty = re.compile(r"\bSELECT\s+FROM\s+metering_")
    assert [path.name for path in SOURCES if empty.search(path.read_text(encoding="utf-8"))] == []
