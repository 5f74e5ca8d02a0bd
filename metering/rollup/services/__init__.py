"""The verbs of roll-up, one a file: `roll_up`, `rebuild_usage`, `set_usage`."""
