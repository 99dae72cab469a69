"""What ships inside every artifact and what a service imports."""
