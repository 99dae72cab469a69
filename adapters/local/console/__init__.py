"""The page at the platform's root that shows what happens, while it happens."""
