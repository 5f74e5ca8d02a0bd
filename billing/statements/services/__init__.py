"""Asking for statements, making them, and setting who gets one each month."""
