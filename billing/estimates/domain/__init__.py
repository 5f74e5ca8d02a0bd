"""The pure part: whose usage, over which period, and what plans come to for it."""
