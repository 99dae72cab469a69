"""A process that keeps files pinned, so that others get them at the speed of the bus."""
