"""Where a blow falls: in the middle of a transaction that bills, which the database keeps standing for it.

Each statement that writes what a run makes counts one step of a sequence, which no rollback and no crash sets
back. The statement whose step is due stands still, its transaction open and its rows locked, until the
blow has fallen. So blows fall by progress and not by the clock, however fast the machine is.
"""

from typing import Final

from django.db import connections

from work.connections import OWNER

_TABLES: Final = (
    "billing_billingrun",
    "billing_subscription",
    "billing_invoice",
    "billing_invoiceline",
    "billing_journaltransaction",
    "billing_journalentry",
    "work_outbox",
)
_SET_UP: Final = """
CREATE SCHEMA capacity;
CREATE SEQUENCE capacity.step;
CREATE TABLE capacity.blow (due bigint);
INSERT INTO capacity.blow VALUES (NULL);
CREATE FUNCTION capacity.stand() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE step bigint := nextval('capacity.step');
BEGIN
    WHILE step >= (SELECT due FROM capacity.blow) LOOP
        PERFORM pg_sleep(0.02);
    END LOOP;
    RETURN NULL;
END $$;
"""
_WATCH: Final = """
CREATE TRIGGER capacity_stand AFTER INSERT OR UPDATE ON {table}
   FOR EACH STATEMENT EXECUTE FUNCTION capacity.stand();
"""


def set_up() -> None:
    """Count the steps of all that bills in this database from now on."""
    with connections[OWNER].cursor() as cursor:
        cursor.execute(_SET_UP + "".join(_WATCH.format(table=each) for each in _TABLES))


def remove() -> None:
    """Leave nothing behind."""
    with connections[OWNER].cursor() as cursor:
        cursor.execute("DROP SCHEMA capacity CASCADE")


def stand_after(steps: int) -> None:
    """Let go who stands, and make the one stand that takes the `steps`-th step from here, or a later one."""
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            "UPDATE capacity.blow SET due = (SELECT last_value FROM capacity.step) + %s", [steps]
        )


def open_for_good() -> None:
    """Nobody stands any more."""
    with connections[OWNER].cursor() as cursor:
        cursor.execute("UPDATE capacity.blow SET due = NULL")


def standing() -> list[str]:
    """The programs that stand just now within a transaction, by the names of their sessions."""
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT application_name FROM pg_stat_activity"
            " WHERE wait_event = 'PgSleep' AND datname = current_database() ORDER BY 1"
        )
        return [name for (name,) in cursor.fetchall()]
