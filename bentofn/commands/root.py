"""The command `bentofn`: a table of commands, each imported when it is called."""

from __future__ import annotations

import difflib
import importlib

import click

from bentofn import __version__

COMMANDS = {
    "bench": ("bench:bench", "Where the time of a cold start goes on this machine."),
    "build": ("build:build", "Turn a project into a bento."),
    "client": ("client:client", "Write a typed client of a service: TypeScript or Python."),
    "containerize": ("containerize:containerize", "Put a bento on a base image, without Docker."),
    "delete": ("bentos:delete", "Delete bentos from this machine."),
    "demo": ("demo:demo", "The tour: build, deploy, answer from cold, and the times."),
    "deploy": ("functions:deploy", "Deploy the functions of serverless.yml, or one bento."),
    "destroy": ("functions:destroy", "Remove a deployed function; its bento stays."),
    "doctor": ("doctor:doctor", "What this machine offers; finds and clears leftovers."),
    "emulator": ("emulator:emulator", "The local platform: start, stop, tick, status."),
    "export": ("archive:export", "Write a bento as one file."),
    "get": ("bentos:get", "Show one bento."),
    "import": ("archive:import_", "Add the bento of a file that export wrote."),
    "init": ("init:init", "Write a new project."),
    "inspect": ("inspect:inspect", "Show layers and files of a bento, or what differs."),
    "invoke": ("functions:invoke", "Call a deployed function."),
    "list": ("bentos:list_bentos", "List the bentos on this machine."),
    "logs": ("functions:logs", "Show what a function wrote."),
    "models": ("models:models", "The model store: import, list, get, delete, export."),
    "plan": ("plan:plan", "What a deployment would change, refuse and cost."),
    "promote": ("versions:promote", "Give a version a share of a function's requests."),
    "pull": ("registry:pull", "Fetch a bento from an OCI registry."),
    "push": ("registry:push", "Send a bento to an OCI registry."),
    "rollback": ("versions:rollback", "Give a function's requests back to an older version."),
    "run": ("run:run", "Run a script of a project, with bentofn as its bentoml."),
    "sbom": ("trust:sbom", "Print a bento's parts list (CycloneDX)."),
    "serve": ("serve:serve", "Run one instance of a project or a bento."),
    "sign": ("trust:sign", "Sign a bento with a key of yours."),
    "snapshot": ("snapshot:snapshot", "Started services on disk, restored instead of started."),
    "status": ("status:status", "Show the deployed functions."),
    "targets": ("targets:targets", "Where functions can go, and what is done there."),
    "verify": ("trust:verify", "Prove who signed a bento, and that it is whole."),
    "versions": ("versions:versions", "List a function's versions."),
}


class LazyGroup(click.Group):
    """A group that imports a command's module only when that command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name][0].split(":")
        command = getattr(importlib.import_module(f"bentofn.commands.{module}"), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="bentofn")
def cli() -> None:
    """Turn a model and its Python class into a function that answers from cold in milliseconds."""
