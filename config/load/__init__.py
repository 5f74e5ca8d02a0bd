"""Load like that of a chat operator: many small tenants and few large ones, the same bytes for a seed."""
