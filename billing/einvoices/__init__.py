"""Invoices and credit notes as electronic documents: UBL 2.1 in the form of EN 16931.

They are written from what a document kept when it was issued, each time anew and to the same bytes.
Layers: services → queries → domain.
"""
