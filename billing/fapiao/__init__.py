"""Fapiao: what the tax platform of China is asked for, and what became of it. Start at `domain`."""
