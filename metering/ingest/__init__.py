"""Ingest: an event is checked, identified, stored once and acknowledged after the commit.

Start reading at `domain/events.py` (what an event is), then `services/ingest_events.py`.
"""
