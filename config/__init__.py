"""The composition root: settings, addresses, processes and the servers that `make run` starts.

It knows every other package and no other package imports it.
Start reading at `settings.py`, then `urls.py`.
"""
