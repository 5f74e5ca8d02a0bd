"""The HTTP face of billing."""
