"""What a first answer needs of a bento: traced when it is built, fetched first when it starts.

:mod:`.tracer` runs the service's examples on a file system that sees every page asked for,
:mod:`.trace` is the list that comes of it, :mod:`.pack` holds exactly those pages, and
:mod:`.artifact` keeps both beside the bento, as an artifact that refers to it.
"""
