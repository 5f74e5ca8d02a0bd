"""What can be done to tenants, apps, members and keys: one verb a file."""
