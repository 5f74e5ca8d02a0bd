"""Raising rules, holding and letting go, removing what nothing keeps."""
