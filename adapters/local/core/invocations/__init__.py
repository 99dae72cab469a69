"""Invocations without a caller that waits: retried, aged, and sent on, decided without I/O."""
