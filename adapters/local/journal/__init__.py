"""What happens on the platform, as events: what the console, metrics, traces and tests read."""
