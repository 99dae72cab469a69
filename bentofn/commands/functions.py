"""`bentofn deploy`, `invoke`, `logs` and `destroy`: functions on a target."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import os
import sys
from datetime import datetime, timezone
from pathlib import Path

import click

from bentofn.adapters.protocol import (
    Adapter,
    Deployed,
    LogLine,
    Reply,
)
from bentofn.adapters.registry import get_adapter
from bentofn.commands.arguments import argument_options, read_arguments
from bentofn.commands.output import (
    Command,
    json_option,
    print_json,
    progress,
)
from bentofn.commands.overrides import check_profile, overridden, override_options
from bentofn.packager.home import Home
from bentofn.runtime.errors import UserError


def target_option(command: Command) -> Command:
    """Add ``--target``."""
    return click.option(
        "--target", default="local", show_default=True, help="Where the function runs."
    )(command)


def adapter_of(target: str) -> Adapter:
    """The adapter of a target, on this user's home."""
    return get_adapter(target, Home.default())


@click.command()
@click.argument("source", default=".")
@target_option
@click.option("--function", "only", help="Deploy only this function of serverless.yml.")
@override_options
@argument_options
@click.option("--wait/--no-wait", default=True, help="Return when fast starts are prepared too.")
@json_option
def deploy(
    source: str,
    target: str,
    only: str | None,
    stage: str | None,
    snapshot: str | None,
    profile: str | None,
    arguments: tuple[str, ...],
    argument_file: Path | None,
    wait: bool,
    as_json: bool,
) -> None:
    """Deploy SOURCE: a project's folder (with or without serverless.yml) or a bento's tag.

    Of several functions, one that fails does not keep the others.
    """
    # Here, because invoke and status must not wait for a YAML parser.
    from bentofn.adapters.secret import secret_values
    from bentofn.commands.sources import declared, to_deploy

    check_profile(profile)
    given = read_arguments(arguments, argument_file)
    home = Home.default()
    adapter = adapter_of(target)
    adapter.check_installed()
    deployed: list[Deployed] = []
    failed: dict[str, str] = {}
    with progress() as report:
        functions = declared(source, only, given, home, report, target, stage)
        for function in functions:
            try:
                secret_values(function.settings.secrets)  # before time is spent on a build
                spec = to_deploy(function, given, home, report, target)
                spec = overridden(spec, snapshot, profile)
                deployed.append(adapter.apply(spec, report, wait=wait))
            except UserError as error:
                if len(functions) == 1:
                    raise
                failed[function.name] = str(error)
    if as_json:
        failures = [{"name": name, "error": why} for name, why in failed.items()]
        print_json([*map(dataclasses.asdict, deployed), *failures])
    else:
        for each in deployed:
            _print_deployed(each)
        for name, why in failed.items():
            click.echo(f"Error: {name} is not deployed: {why}", err=True)
    if failed:
        sys.exit(1)


def _print_deployed(deployed: Deployed) -> None:
    what = f"version {deployed.version}" + ("" if deployed.changed else ", unchanged")
    click.echo(f"{deployed.name}  {deployed.bento}  {what}, snapshot {deployed.snapshot}")
    if deployed.note:
        click.echo(f"  {deployed.note}")
    if deployed.url:
        click.echo(f"  {deployed.url}")


@click.command()
@click.argument("name")
@click.argument("data", default="{}")
@click.option("--api", help="Which endpoint, where the function has more than one.")
@target_option
@json_option
def invoke(name: str, data: str, api: str | None, target: str, as_json: bool) -> None:
    """Call the function NAME with DATA: JSON, @FILE, or - for standard input.

    Prints the answer as it comes; with --json its status, headers and body in one document.
    """
    reply = adapter_of(target).invoke(name, _body(data), api=api)
    if as_json:
        _invoke_as_json(name, reply)
        return
    for chunk in reply.body:
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
    if reply.headers.get("content-type", "").startswith(("application/json", "text/")):
        click.echo()
    if reply.status >= 400:
        raise UserError(_refusal(name, reply.status))


def _invoke_as_json(name: str, reply: Reply) -> None:
    content = b"".join(reply.body)
    document: dict[str, object] = {"status": reply.status, "headers": dict(reply.headers)}
    try:
        document["body"] = json.loads(content)
    except ValueError:
        try:
            document["body"] = content.decode()
        except UnicodeDecodeError:
            document["body_base64"] = base64.b64encode(content).decode()
    if reply.status >= 400:
        document = {"error": _refusal(name, reply.status), **document}
    print_json(document)
    if reply.status >= 400:
        click.echo(f"Error: {document['error']}", err=True)
        sys.exit(1)


def _refusal(name: str, status: int) -> str:
    if status < 500:
        return f"{name} refused the request with status {status}; its answer says why."
    return f"{name} failed with status {status}; bentofn logs {name} shows what it wrote."


def _body(data: str) -> bytes:
    if data == "-":
        return sys.stdin.buffer.read()
    if data.startswith("@"):
        try:
            return Path(data[1:]).read_bytes()
        except OSError as error:
            raise UserError(f"Cannot read {data[1:]}: {error.strerror}.") from None
    try:
        json.loads(data)
    except ValueError as error:
        raise UserError(f"DATA is not JSON ({error}); quote it, or use @FILE or -.") from None
    return os.fsencode(data)  # the bytes that the shell gave, whatever the locale


@click.command()
@click.argument("name")
@click.option("-f", "--follow", is_flag=True, help="Wait for more.")
@click.option("--tail", type=click.IntRange(min=0), help="Only the last lines.")
@click.option("--request", default="", metavar="ID", help="Only what this request wrote.")
@target_option
@json_option
def logs(
    name: str, follow: bool, tail: int | None, request: str, target: str, as_json: bool
) -> None:
    """Show what the function NAME wrote."""
    lines = adapter_of(target).logs(name, follow=follow, tail=tail, request=request)
    if as_json and not follow:
        print_json([dataclasses.asdict(line) for line in lines])
        return
    # Ctrl-C is how one stops following.
    with contextlib.suppress(KeyboardInterrupt) if follow else contextlib.nullcontext():
        for line in lines:
            click.echo(json.dumps(dataclasses.asdict(line)) if as_json else _shown(line))


def _shown(line: LogLine) -> str:
    at = datetime.fromtimestamp(line.ts, timezone.utc)
    return f"{at:%H:%M:%S.%f}Z {line.instance} {line.line}"


@click.command()
@click.argument("names", nargs=-1, required=True)
@target_option
@json_option
def destroy(names: tuple[str, ...], target: str, as_json: bool) -> None:
    """Remove functions; their bentos stay."""
    adapter = adapter_of(target)
    for name in dict.fromkeys(names):
        adapter.destroy(name)
        if not as_json:
            click.echo(f"Destroyed {name}")
    if as_json:
        print_json({"destroyed": list(names)})
