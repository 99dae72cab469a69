"""The engine whose instances are restored from a snapshot on disk, by CRIU."""
