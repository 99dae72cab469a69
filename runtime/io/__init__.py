"""Values on the wire: one module for each family of types."""
