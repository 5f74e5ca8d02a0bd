"""Playing stories."""
