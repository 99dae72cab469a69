"""What keeps an instance within its limits, and apart from the others."""
