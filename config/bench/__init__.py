"""Benchmarks beside bare PostgreSQL: the same rows, in the same run, on the same server.

Each works in a database of its own that is dropped afterwards. Start reading at `measure.py`.
"""
