"""Writing many rows in one statement, without an object for each.

A column is one parameter: PostgreSQL reads an array of thousands of values many times faster than as
many parameters, and building one costs a fraction of what a model's row does.
"""

from collections.abc import Mapping
from typing import Final

from psycopg2 import sql

from work.connections import cursor

_INSERT: Final = "INSERT INTO {table} ({names}) SELECT * FROM unnest({columns})"


def insert_columns(
    table: str, columns: Mapping[str, tuple[str, str]], *, ignore_conflicts: bool = False
) -> None:
    """Insert rows that are given by column: its name → its type and its array literal
    (`kernel.array_literals`). In the caller's scope; no rows where the arrays are empty.

    With `ignore_conflicts`, rows whose unique key is there already are left out.
    """
    with cursor() as db:
        db.execute(
            sql.SQL(_INSERT + (" ON CONFLICT DO NOTHING" if ignore_conflicts else "")).format(
                table=sql.Identifier(table),
                names=sql.SQL(", ").join(map(sql.Identifier, columns)),
                columns=sql.SQL(", ").join(
                    sql.SQL("%s::{}[]").format(sql.SQL(kind)) for kind, _ in columns.values()
                ),
            ),
            [values for _, values in columns.values()],
        )
