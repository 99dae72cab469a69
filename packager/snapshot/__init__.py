"""Snapshots of started services: taking, keeping and restoring them."""
