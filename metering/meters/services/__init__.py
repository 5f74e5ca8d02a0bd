"""The verb of meters: `load_meters`."""
