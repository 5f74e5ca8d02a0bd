"""What an event is, how it is read from bytes and identified; pure."""
