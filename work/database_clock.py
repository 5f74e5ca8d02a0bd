"""The database's clock, by which all workers go."""

from django.db import connections

from kernel import clock
from work.connections import JOBS


def agree() -> None:
    """Set this process's clock by the database's. Before each job and tick: a machine's clock may jump.

    A scheduler two days ahead would else open slots, close days and bill what is not due; one two days
    behind would let due work lie. Costs one round trip.
    """
    with connections[JOBS].cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (present,) = cursor.fetchone()
    clock.set_by(present)
