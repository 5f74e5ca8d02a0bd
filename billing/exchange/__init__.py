"""Exchange rates by day, by which a tax is told in the seller's national currency.

Layers: services → queries → models → domain.
"""
