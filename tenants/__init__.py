"""Who uses and who pays: tenants, apps, members, roles, API keys, the audit trail, row security.

May import `work` and `kernel`. Start reading at `scope.py` (whose rows are seen), then `models.py`.
"""
