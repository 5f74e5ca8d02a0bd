"""Statements of account: what a tenant owed, all that moved it, and the detail behind it as files.

Start reading at `services/make_statement.py`. Figures come from the ledger (`ledger_figures.py`), details
from the documents (`rows.py`); a statement is handed out only where both agree and every file, read
back, says the same.
"""
