"""What a statement says, and when it may not be handed out. Pure."""
