"""What only a platform that was started for tests does: faults on purpose, and its journal told."""
