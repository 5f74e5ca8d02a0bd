"""Meters: rules from usage events to a daily quantity."""
