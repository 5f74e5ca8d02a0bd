"""The verb of scale-out: `distribute`."""
