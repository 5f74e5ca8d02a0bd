"""Recount: each closed day counted once more from what arrived, by another path than roll-up, and kept.

Roll-up adds to a day batch by batch, with marks and readings that remember what was counted. Here a
day is one plain GROUP BY over all that is stored of it. The two have in common the stored events, the
definitions of the meters and nothing else, so that what bills is compared with a second opinion.

Start reading at `counting.py` (the statement), then `services/recount_days.py` (when) and `queries.py`
(where the two differ).
"""
