"""The verbs of quarantine: `replay_rejected`."""
