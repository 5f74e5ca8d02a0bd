"""The calculator: single questions to the rating, asked and answered in JSON.

Each case is one operation with all that it needs; nothing is stored, no database is read, and no
framework is loaded. Pure, one file an operation. It rates with the same functions as a bill and
refuses what they can't rate. Start reading at `cases.py`.
"""
