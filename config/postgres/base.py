"""Database back end: PostgreSQL by ``DATABASE_URL``, or the embedded server when it is unset.

The address is resolved at the first connection, not when settings load, so that commands that
need no database (the calculator, `help`) start no server. Each alias connects as its own role;
`config.postgres.roles` tells their names and passwords.
"""

from typing import Any

from django.db.backends.postgresql import base

from config.postgres import roles


class DatabaseWrapper(base.DatabaseWrapper):
    """PostgreSQL whose address and role come from the environment at connection time."""

    def get_connection_params(self) -> dict[str, Any]:
        address = roles.address()
        credentials = roles.credentials(alias=self.alias, address=address)
        self.settings_dict.update(
            NAME=self.settings_dict["NAME"] or address.database,
            HOST=address.host,
            PORT=address.port,
            USER=credentials.user,
            PASSWORD=credentials.password,
        )
        parameters: dict[str, Any] = super().get_connection_params()
        parameters.update(address.options)
        return parameters
