"""The schedules of deployed functions: fired by the platform's clock, remembered on disk."""
