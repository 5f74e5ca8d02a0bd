"""Plans and their immutable versions. Start reading at `domain/plan.py`, then `services/load_plans.py`."""
