"""`bentofn emulator`: the local platform."""

from __future__ import annotations

import dataclasses

import click

from bentofn.adapters.local import daemon
from bentofn.commands.output import json_option, print_json
from bentofn.packager.home import Home
