"""Where the time of a start goes: stages of the platform and of the instance, on one clock."""
