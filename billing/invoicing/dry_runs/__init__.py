"""Dry runs: what a billing run would come to, beside what the same tenants were billed before."""
