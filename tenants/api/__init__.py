"""The HTTP face of the tenants' room, and what every other face builds on."""
