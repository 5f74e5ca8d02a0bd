"""What tax a line bears, from facts and dated rates. Pure. Start reading at `rules.py`."""
