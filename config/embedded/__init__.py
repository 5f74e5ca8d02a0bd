"""Servers that Summit brings along, so that a machine with Python alone can run it.

Each module hides one package of PyPI behind two or three functions. An installation that sets
DATABASE_URL, BROKER_URL and STRIPE_SECRET_KEY uses none of them.
"""
