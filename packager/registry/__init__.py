"""OCI registries: bentos pushed and pulled over the distribution API.

A client of our own on the standard library, because oras-py (0.2.43) reads a whole blob into memory
to push it, starts a broken download anew, and knows no `Retry-After`.
"""
