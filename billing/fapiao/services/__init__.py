"""The verbs of fapiao, one a file."""
