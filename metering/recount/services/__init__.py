"""The verbs of the recount, in one file: `recount_spans`, `recount_closed_days`."""
