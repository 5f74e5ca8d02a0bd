"""The verbs of corrections: `request_correction`, `approve_correction`, `refuse_correction`."""
