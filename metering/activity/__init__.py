"""Activity: what came in lately, what waits, and how far the days are; for operations."""
