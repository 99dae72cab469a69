"""The command line: a table of commands, each imported when it is called, and how errors end."""

from __future__ import annotations

import errno
import importlib
import json
import os
import sys
from typing import Any

import click

from bentofn import __version__
from bentofn.runtime.errors import UserError

COMMANDS = {
    "build": ("build:build", "Turn a project into a bento."),
    "delete": ("bentos:delete", "Delete bentos from this machine."),
    "demo": ("demo:demo", "The tour: build, deploy, answer from cold, and the times."),
    "deploy": ("functions:deploy", "Deploy the functions of serverless.yml, or one bento."),
    "destroy": ("functions:destroy", "Remove a deployed function; its bento stays."),
    "doctor": ("doctor:doctor", "What this machine offers; finds and clears leftovers."),
    "emulator": ("emulator:emulator", "The local platform: start, stop, status."),
    "get": ("bentos:get", "Show one bento."),
    "init": ("init:init", "Write a new project."),
    "invoke": ("functions:invoke", "Call a deployed function."),
    "list": ("bentos:list_bentos", "List the bentos on this machine."),
    "logs": ("functions:logs", "Show what a function wrote."),
    "models": ("models:models", "The model store: import, list, get, delete, export."),
    "serve": ("serve:serve", "Run one instance of a project or a bento."),
    "status": ("functions:status", "Show the deployed functions."),
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
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="bentofn")
def cli() -> None:
    """Turn a model and its Python class into a function that answers from cold in milliseconds."""


def main() -> None:
    """Run the command line; exit 0 when done, 1 with one sentence on failure, 2 on wrong usage."""
    try:
        result = cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        fail("Interrupted; nothing that was not reported done has changed.")
    except UserError as error:
        fail(str(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            raise
        where = f" at {error.filename}" if error.filename else ""
        fail(f"{error.strerror}{where}; free space or grant access there and run it again.")
    sys.exit(result if isinstance(result, int) else 0)


def fail(sentence: str) -> None:
    """Print one sentence and exit with status 1; with ``--json`` as a document on stdout too."""
    if "--json" in sys.argv:
        document: dict[str, Any] = {"error": sentence}
        print(json.dumps(document))
    print(f"Error: {sentence}", file=sys.stderr)
    sys.exit(1)
