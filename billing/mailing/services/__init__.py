"""The verbs of mailing, one a file."""
