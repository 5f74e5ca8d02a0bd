"""What is done with payments: one verb a file.

A service here opens its own scopes, because it talks to the gateway between them: intent recorded and
committed, call made, outcome recorded and committed. No call is made while a transaction is open.
"""
