"""Working days, played by the keyboard alone."""
