"""Who stands on an invoice: what is kept of a tenant for it, and what of seller and buyer a document keeps.

Layers: services → queries → models → domain.
"""
