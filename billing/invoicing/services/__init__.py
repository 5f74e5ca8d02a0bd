"""What is done with invoices: one verb a file."""
