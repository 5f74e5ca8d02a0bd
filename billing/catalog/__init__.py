"""Plans and their immutable versions. Start reading at `domain.py`, then `services/load_plans.py`."""
