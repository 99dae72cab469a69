"""`python -m bentofn` is the command `bentofn`."""

from bentofn.cli import main

main()
