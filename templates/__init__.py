"""What `bentofn init` and the adapters render."""
