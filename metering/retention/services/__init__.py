"""The verb of retention: `keep_partitions`."""
