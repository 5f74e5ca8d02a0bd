"""What a fapiao says and which states it goes through. Pure. Start reading at `content.py`.

A fapiao is issued by the tax platform, never by us: its 20-digit number is not our invoice's. A blue one
is asked for an invoice; a red one takes back (a part of) a blue one, for a credit note.
"""
