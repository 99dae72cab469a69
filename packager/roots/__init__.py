"""A bento of the store as directories that a process can run from."""
