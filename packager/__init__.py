"""Build time: a project becomes a bento."""
