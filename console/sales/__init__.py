"""Tenants and what is sold to them."""
