"""Retention: partitions of raw events are made months ahead, and dropped once nobody needs them."""
