"""What an electronic invoice says, which rules it keeps, and how it is written. Pure. Start reading at
`content.py`; `mapping.py` makes one of an issued document, `rules.py` checks it, `ubl.py` writes it.
"""
