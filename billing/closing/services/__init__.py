"""The verbs: `request_period`, `approve_period`, `refuse_period`."""
