"""The detail tables as files, written row by row, and read back by programs that didn't write them.

Which library does what, and why: the ADR on statements.
"""
