"""Corrections by hand: of a closed day's usage, with a reason, by two people."""
