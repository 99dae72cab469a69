"""Runs what a service does once for a deployment, before any of its instances."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Mapping
from typing import Any

from bentofn.runtime import lifecycle, lifeline
from bentofn.runtime.hooks import marked
from bentofn.runtime.service import Service


def run_hooks(service: Service[Any]) -> None:
    """Run the ``on_deployment`` methods of a service, in the order of their names, and of those
    that it depends on."""
    for each in service.all_services(exclude_urls=True).values():
        for hook in marked(each.inner, "on_deployment"):
            result = hook()
            if inspect.iscoroutine(result):
                asyncio.run(result)


def main(options: Mapping[str, str]) -> int:
    """The ``on-deployment`` process: returns 1 and says why on stderr when a hook fails."""
    lifeline.die_with_parent()
    try:
        run_hooks(lifecycle.load(options))
    except Exception as error:
        print(lifecycle.explain(error), file=sys.stderr)
        return 1
    return 0
