"""`bentofn emulator`: the local platform."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import click

from bentofn.adapters.local import daemon
from bentofn.adapters.local.client import Client
from bentofn.adapters.local.core.constants import profile_names
from bentofn.commands.output import json_option, print_json, print_table
from bentofn.packager.home import Home
from bentofn.packager.sizes import human_size
from bentofn.runtime.errors import UserError

port_option = click.option(
    "-p", "--port", type=click.IntRange(0, 65535),
    help=f"By default the one it last had, at first {daemon.DEFAULT_PORT}; 0 takes a free one.",
)  # fmt: skip


_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604_800.0}
_LONGEST = 366 * 86400.0


@click.group()
def emulator() -> None:
    """The platform that functions run on here."""


@emulator.command()
@port_option
@click.option("--foreground", is_flag=True, help="Stay, until Ctrl-C.")
@click.option(
    "--speed",
    type=click.FloatRange(0.0, 100_000.0),
    default=1.0,
    metavar="N",
    help="How fast its time passes, for idle timeouts, schedules and retries: 600 is ten minutes "
    "in a second; at 0 only `bentofn emulator tick` makes it pass.",
)
@json_option
def start(port: int | None, foreground: bool, speed: float, as_json: bool) -> None:
    """Start the platform; it brings back what was deployed."""
    home = Home.default()
    if foreground:
        if as_json:
            raise click.UsageError("--foreground answers with no document; leave --json out.")
        daemon.run(home, port, speed=speed)
        return
    _show(daemon.start(home, port, speed), as_json)


@emulator.command()
@json_option
def stop(as_json: bool) -> None:
    """Stop the platform; what is deployed stays so.

    Running requests are finished first.
    """
    stopped = daemon.stop(Home.default())
    if as_json:
        print_json({"stopped": stopped})
        return
    click.echo("Stopped the local platform." if stopped else "The local platform was not running.")


@emulator.command()
@click.argument("duration")
@json_option
def tick(duration: str, as_json: bool) -> None:
    """Have DURATION of the platform's time pass now: 90s, 5m, 36h or 7d.

    Whatever falls into it happens, in order and each at its time: schedules fire, retries are
    made, idle instances stop. The command ends when all of that has ended.
    """
    endpoint = daemon.status(Home.default())
    if endpoint is None:
        raise UserError("The local platform does not run; start it with: bentofn emulator start.")
    now = Client(endpoint).tick(_seconds(duration))
    if as_json:
        print_json({"now": now})
    else:
        click.echo(f"It is now {_shown(now)} on the local platform.")


@emulator.command()
@json_option
def status(as_json: bool) -> None:
    """Whether the platform runs, and where; its zygotes, and the memory of GPUs.

    A zygote has imported the packages that some functions share, so that a function with no
    snapshot of its own starts from it. It is a snapshot itself, or a process that forks.
    """
    endpoint = daemon.status(Home.default())
    if endpoint is None:
        _show(None, as_json)
    else:
        client = Client(endpoint)
        _show(endpoint, as_json, client.zygotes(), client.gpus(), client.now())


@emulator.command()
@json_option
def env(as_json: bool) -> None:
    """Variables with which AWS's SDKs and command line call the functions here.

    For a shell: eval "$(bentofn emulator env)". The keys are this home's own; the URL of a function
    with authorizer aws_iam takes no others.
    """
    from bentofn.adapters.local.lambda_.api.credentials import sdk_environment

    home = Home.default()
    variables = sdk_environment(home, daemon.ensure_running(home).url)
    if as_json:
        print_json(variables)
    else:
        for key, value in variables.items():
            click.echo(f"export {key}={shlex.quote(value)}")


@emulator.command()
@click.argument("name", required=False)
@json_option
def profiles(name: str | None, as_json: bool) -> None:
    """The backends whose rules a function can run by, or every constant of NAME.

    Each constant says how sure it is (D: documentation, S: source, V: run and seen, R: unsure,
    own: our choice) and where it stands.
    """
    from bentofn.adapters.local.core.profile import load_profile
    from bentofn.commands import profiles as shown

    found = [load_profile(each) for each in ([name] if name else profile_names())]
    if as_json:
        print_json({each.name: shown.document(each) for each in found})
    elif name:
        click.echo("\n".join(shown.lines(found[0])))
    else:
        print_table(shown.HEADINGS, [shown.row(each) for each in found])


def _show(
    endpoint: daemon.Endpoint | None,
    as_json: bool,
    zygotes: Sequence[Mapping[str, Any]] = (),
    gpus: Mapping[str, Any] = MappingProxyType({}),
    now: float | None = None,
) -> None:
    if as_json:
        document: dict[str, object] = {"running": endpoint is not None}
        if endpoint is not None:
            document |= {"url": endpoint.url, "pid": endpoint.pid, "started": endpoint.started}
            document |= {"speed": endpoint.speed}
            document |= {"zygotes": zygotes, "gpus": dict(gpus)}
            if now is not None:
                document |= {"now": now}
        print_json(document)
        return
    if endpoint is None:
        click.echo("The local platform does not run; bentofn emulator start starts it.")
    else:
        since = _shown(endpoint.started)
        click.echo(
            f"The local platform answers at {endpoint.url} (process {endpoint.pid}, since {since})"
        )
        if endpoint.speed != 1.0:
            speed = f"passes {endpoint.speed:g} times as fast" if endpoint.speed else "stands still"
            moment = f"; there it is {_shown(now)}" if now is not None else ""
            click.echo(f"  its time {speed}{moment}")
    for line in _of_gpus(gpus):
        click.echo(line)
    for each in zygotes:
        memory = human_size(each["memory"]) if each["memory"] is not None else "unknown"
        what = f"process {each['pid']}, {memory} of memory"
        if each["snapshot"]:
            what = f"snapshot {each['snapshot'][:12]}, nothing resident"
        click.echo(f"  zygote of {each['packages']}: {what}, {each['instances']} instances")


def _of_gpus(gpus: Mapping[str, Any]) -> Iterator[str]:
    """Lines of :class:`bentofn.adapters.local.gpu.memory.GpuMemory`."""
    for each in gpus.get("gpus", ()):
        total, on_it = each["total"], each["on_it"]
        taken = f"{human_size(on_it)} of {human_size(total)} taken"
        yield f"  GPU {each['name']}: {taken if total else 'its driver tells of no memory'}"
        for holding in each["holdings"]:
            until = "" if holding["known"] else ", all until it is known what it needs"
            memory = human_size(holding["memory"]) if total else "has it"
            yield f"    {memory:>8}  {holding['function']} ({holding['instance']}){until}"
    for each in gpus.get("waiting", ()):
        yield f"    {'waits':>8}  {each['function']} ({each['instance']})"
    if gpus.get("sleepers"):
        asleep, limit = human_size(gpus["asleep"]), human_size(gpus["limit"])
        sleep = (
            "1 instance sleeps" if gpus["sleepers"] == 1 else f"{gpus['sleepers']} instances sleep"
        )
        yield f"  {sleep}: {asleep} of GPU memory in host memory, where {limit} may be"


def _seconds(duration: str) -> float:
    number, unit = duration[:-1], duration[-1:]
    try:
        seconds = float(number) * _UNITS[unit]
    except (ValueError, KeyError):
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST:
        raise click.BadParameter(
            "give a number and a unit, up to 366d, such as 90s, 5m, 36h or 7d.",
            param_hint="DURATION",
        )
    return seconds


def _shown(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))
