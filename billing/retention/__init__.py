"""How long documents are kept, what keeps them longer, and which files are gone.

Rules are data (`models.py`), by the country of the seller. Reads other topics' tables by SQL, so that those may ask
whether a file was removed.
"""
