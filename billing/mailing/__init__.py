"""Mail with issued documents: to whom it goes, and what became of each. Start at `domain`."""
