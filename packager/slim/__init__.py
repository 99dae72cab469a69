"""Safe slimming: what an installed environment never needs to answer a request."""
