"""Cards compared with what they quote."""
