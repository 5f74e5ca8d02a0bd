"""The web process. It refuses to start as a database role that could look past row security."""

import gc
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()

from django.urls import get_resolver  # noqa: E402  # needs the settings above

from config.database import refuse_unless_restricted  # noqa: E402  # needs the settings above

refuse_unless_restricted()

# Addresses and their views are read now and not while the first client waits.
get_resolver().url_patterns  # noqa: B018  # read for what it loads

# What is loaded by now stays: the collector need not look through all of it again and again, which took
# a tenth of what taking in events takes.
gc.collect()
gc.freeze()
