"""What was billed, what is owed, what was paid."""
