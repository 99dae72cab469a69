"""Serves cases with stock BentoML: one process imports it, and every case is a fork of that.

    python serve_stock.py FOLDER

Each line of its standard input names a case; it starts that and prints the port, to the end of the
input. A case finds in ``CASE_PORT`` a port of its own, and in ``CASE_FOLDER`` a folder.
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
import sys
import tempfile
import threading
from pathlib import Path

import bentoml
import uvicorn
from _bentoml_impl.server import app as _  # noqa: F401 - what a fork need not import
from _bentoml_impl.tasks import Sqlite3Store
from bentoml import server_context
from bentoml._internal.configuration.containers import BentoMLContainer


def main(folder: str) -> None:
    """Serve, and wait for the end."""
    sys.path.insert(0, folder)
    children = []
    while case := sys.stdin.readline().strip():
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        child = os.fork()
        if not child:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(2, 1)
            serve(case, listener)
        children.append(child)
        listener.close()
        print(port, flush=True)  # it listens, and answers when it is ready
    for child in children:
        os.kill(child, signal.SIGKILL)


def serve(case: str, listener: socket.socket) -> None:
    """Become the server of a case, and start those of the services that it depends on."""
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as spare:
        metrics = Path(folder) / "metrics"
        metrics.mkdir()
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)
        os.environ["CASE_FOLDER"] = folder
        os.environ["CASE_PORT"] = str(spare.getsockname()[1])
        spare.close()
        server_context.worker_index = 1  # as of the first worker of `bentoml serve`
        service = importlib.import_module(case).Case
        others = [each for each in service.all_services().values() if each is not service]
        paths = {each.name: f"{folder}/{number}.sock" for number, each in enumerate(others)}
        places = {name: f"file://{path}" for name, path in paths.items()}
        BentoMLContainer.remote_runner_mapping.set(places)
        alive = os.pipe()
        for each in others:
            listens = socket.socket(socket.AF_UNIX)
            listens.bind(paths[each.name])
            listens.listen()
            if not os.fork():
                os.close(alive[1])
                threading.Thread(target=end_with, args=(alive[0],), daemon=True).start()
                answer(each, listens, is_main=False)
        if service.needs_task_db():
            Sqlite3Store.init_db(BentoMLContainer.result_store_file.get())
        answer(service, listener, is_main=True)


def answer(service: bentoml.Service, listener: socket.socket, *, is_main: bool) -> None:
    """Answer for a service, to the end of the process."""
    app = service.to_asgi(is_main=is_main)
    config = uvicorn.Config(app, log_config=None, server_header=False, loop="asyncio")
    uvicorn.Server(config).run(sockets=[listener])
    os._exit(0)


def end_with(pipe: int) -> None:
    """End this process with the one that holds the pipe's other end."""
    os.read(pipe, 1)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
