"""`bentofn sign`, `verify` and `sbom`: what lets others trust a bento."""

from __future__ import annotations

import json
from pathlib import Path

import click

from bentofn.commands.keys import FILE, read_signer
from bentofn.commands.models import entry_document
from bentofn.commands.output import json_option, print_json, progress
from bentofn.packager.files import atomic_write
from bentofn.packager.home import Home
from bentofn.packager.lazy.whole import whole_bento
from bentofn.packager.sizes import human_size
from bentofn.packager.store import Store
from bentofn.packager.trust.keys import load_verify_key
from bentofn.packager.trust.kinds import name_of
from bentofn.packager.trust.sbom import find_sbom
from bentofn.packager.trust.signing import sign as sign_bento
from bentofn.packager.trust.signing import verify as verify_bento


@click.command()
@click.argument("tag")
@click.option("--key", type=FILE, required=True, metavar="KEY.pem", help="Your private key.")
@json_option
def sign(tag: str, key: Path, as_json: bool) -> None:
    """Sign a bento, with its SBOM and its provenance, with a key of yours."""
    store = Store(Home.default())
    entry = store.get("bento", tag)
    signed = sign_bento(store, entry, read_signer(key))
    if as_json:
        print_json(
            entry_document(entry)
            | {"key": str(signed.key), "signature": signed.referrer.manifest.digest}
        )
        return
    click.echo(f"Signed {entry.tag} ({entry.digest[:19]}) with the {signed.key}")


@click.command()
@click.argument("tag")
@click.option("--key", type=FILE, required=True, metavar="PUB.pem", help="The public key.")
@json_option
def verify(tag: str, key: Path, as_json: bool) -> None:
    """Prove that a key signed a bento, and that every byte of it is as it was then."""
    store = Store(Home.default())
    public = load_verify_key(key)
    with progress() as report:
        entry = whole_bento(store, tag, report)
        report(f"Reading {entry.tag}")
        found = verify_bento(store, entry, public)
    if as_json:
        print_json(
            entry_document(entry)
            | {
                "key": str(found.key),
                "covered": list(found.covered),
                "uncovered": list(found.uncovered),
                "blobs": found.blobs,
                "bytes": found.size,
            }
        )
        return
    click.echo(f"{entry.tag} ({entry.digest}) is signed with the {found.key}")
    click.echo(f"All {found.blobs} blobs ({human_size(found.size)}) are as their digests say.")
    for name in found.covered:
        click.echo(f"The signature covers {name_of(name)}")
    for name in found.uncovered:
        click.echo(f"Not covered by it: {name_of(name)}")


@click.command()
@click.argument("tag")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="A file to write.")
@json_option
def sbom(tag: str, output: Path | None, as_json: bool) -> None:
    """Print a bento's SBOM (CycloneDX, in JSON), or write it to a file."""
    home = Home.default()
    store = Store(home)
    entry = store.get("bento", tag)
    found = find_sbom(home, store, entry)
    text = json.dumps(json.loads(found), indent=2, ensure_ascii=False, sort_keys=True)
    if output is None:
        click.echo(text)
        return
    atomic_write(output.absolute(), f"{text}\n".encode())
    if as_json:
        print_json(entry_document(entry) | {"file": str(output.absolute())})
        return
    click.echo(f"Wrote the SBOM of {entry.tag} to {output}")
