"""The verbs of proof: `prove_closed_days`, `prove_day`."""
