"""Stories: what happens to tenants over time, played in a sandbox by the services that bill.

Start reading at `domain.py` (what a story may say), then `services/play_story.py`.
"""
