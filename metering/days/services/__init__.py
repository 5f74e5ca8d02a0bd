"""The verb of days: `close_days`."""
