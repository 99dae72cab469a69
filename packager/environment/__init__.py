"""A bento's Python environment: resolved, locked, installed, split into layers."""
