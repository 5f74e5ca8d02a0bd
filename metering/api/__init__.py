"""The HTTP face of metering."""
