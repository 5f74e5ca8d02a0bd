"""Payment jobs."""
