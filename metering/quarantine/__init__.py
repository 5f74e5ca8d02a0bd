"""Quarantine: refused events, counted by tenant and reason, and taken in after all once the cause is mended."""
