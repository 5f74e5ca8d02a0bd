"""The web process. It refuses to start as a database role that could look past row security."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()

from config.database import refuse_unless_restricted  # noqa: E402  # needs the settings above

refuse_unless_restricted()
