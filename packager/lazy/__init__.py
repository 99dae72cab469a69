"""Bentos that start before all of them has arrived: pages that are asked for are fetched first.

:mod:`.plan` says which layers can wait, :mod:`.pull` fetches the others and notes where the rest
is, :mod:`.server` shows the trees of a bento through FUSE and fetches what is missing in them, and
:mod:`.complete` brings the rest.
"""
