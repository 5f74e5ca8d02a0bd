"""What the work tables do for themselves: a heartbeat that proves workers alive, and tidying."""
