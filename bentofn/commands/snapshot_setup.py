"""`bentofn snapshot setup`: a CRIU that works here."""

from __future__ import annotations

import click

from bentofn.commands.output import json_option, print_json, progress


@click.command()
@json_option
def setup(as_json: bool) -> None:
    """Install a CRIU that can take and restore snapshots here.

    On Debian and what derives from it, as root. It is Debian's package, with signatures checked,
    put beside the system in /opt/bentofn/criu; a fit CRIU that is there already stays as it is.
    """
    from bentofn.packager.snapshot.criu.install import fit_criu, install_criu

    criu = fit_criu()
    installed = criu is None
    if criu is None:
        with progress() as report:
            criu = install_criu(report)
    if as_json:
        print_json(
            {
                "installed": installed,
                "version": criu.version,
                "path": str(criu.path),
                "command": list(criu.command),
            }
        )
        return
    what = "is installed" if installed else "is there"
    click.echo(f"CRIU {criu.version} {what} and works here: {criu.path}")
