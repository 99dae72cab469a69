"""What :mod:`bentofn.testing` is made of."""
