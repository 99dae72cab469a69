"""`bentofn snapshot`: the memory of started services, kept on disk."""

from __future__ import annotations

import click

from bentofn.commands.snapshot_setup import setup


@click.group()
def snapshot() -> None:
    """Started services on disk, restored in the place of a start."""


snapshot.add_command(setup)
