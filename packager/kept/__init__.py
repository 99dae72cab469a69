"""Compiled code as a layer of a bento, or beside it: see :mod:`bentofn.runtime.kept`."""
