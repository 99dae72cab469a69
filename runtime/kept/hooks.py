"""What torch has to be told, so that what it compiled in one place is found in another.

torch 2.13 hashes C++ kernels with the compiler's command line, which names the directories of torch
and of Python; it looks whether each instruction set works by starting an interpreter for each; and
it hashes its whole source. Read in ``torch/_inductor/codecache.py`` and ``cpu_vec_isa.py``; where a
torch has other names, nothing is changed and it compiles anew.
"""

from __future__ import annotations

import collections
import contextlib
import importlib
import importlib.abc
import importlib.machinery
import json
import os
import shlex
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

CODECACHE = "torch._inductor.codecache"
BUILDER = "torch._inductor.cpp_builder"
ISA = "torch._inductor.cpu_vec_isa"
WORKERS = "torch._inductor.async_compile"
METRICS = "torch._dynamo.utils"
CALLBACKS = "torch._dynamo.callback"
FRAMES = "torch._dynamo.convert_frame"
OPTIONS = "torch._inductor.config"
TRITON = ("triton.runtime.cache", "triton.compiler.compiler")
"""Where Triton computes the key of itself: from 3.5 on, and before."""


RESULTS = (
    "torch._inductor.output_code",
    "torch._functorch._aot_autograd.aot_autograd_result",
    "torch._functorch._aot_autograd.autograd_cache",
)
"""Where the classes of what torch keeps of a compilation are, in 2.13 and before."""

_TIMES = ("_time_taken_ns", "forward_time_taken_ns", "backward_time_taken_ns")

Patch = Callable[[ModuleType], None]


def same_everywhere(environment: str) -> Patch:
    """Have C++ kernels hashed as if torch and Python stood at one place on all machines.

    Args:
        environment: Where the packages stand.
    """

    def patch(module: ModuleType) -> None:
        code_hash = getattr(module, "code_hash", None)
        if code_hash is None:
            return
        places = {environment: "{env}", os.path.realpath(environment): "{env}"}
        places[sysconfig.get_path("include")] = "{include}"
        places[str(sysconfig.get_config_var("LIBDIR"))] = "{lib}"

        def hashed(code: str | bytes, extra: str | bytes = "") -> str:
            if isinstance(extra, str):
                for place, name in places.items():
                    extra = extra.replace(place, name)
            digest: str = code_hash(code, extra)
            return digest

        module.__dict__["code_hash"] = hashed

    return patch


def named_elsewhere(places: Mapping[str, str]) -> Patch:
    """Have C++ kernels hold other paths than those that they are compiled with.

    Args:
        places: Where something stands, to where kernels say that it does.
    """
    real = {os.path.realpath(place): name for place, name in places.items()}
    options = [f"-ffile-prefix-map={place}={name}" for place, name in (real | {**places}).items()]

    def patch(module: ModuleType) -> None:
        run = getattr(module, "_run_compile_cmd", None)
        if run is None:
            return

        def run_elsewhere(command: str, *where: str, **also: str) -> object:
            is_compiler = command.split(" ", 1)[0].endswith(("g++", "gcc", "clang++", "clang"))
            command = f"{command} {shlex.join(options)}" if is_compiler else command
            return run(command, *where, **also)

        module.__dict__["_run_compile_cmd"] = run_elsewhere

    return patch


def untimed(module: ModuleType) -> None:
    """Have no time that a compilation took kept with it: it is another each time."""
    for each in list(vars(module).values()):
        for name in set(_TIMES) & set(getattr(each, "__dataclass_fields__", ())):
            if isinstance(each, type):
                setattr(each, name, property(lambda _: 0, lambda _, __: None))


def known_source(torch_key: str) -> Patch:
    """Tell torch the digest of its source, which it would read whole for it.

    Args:
        torch_key: In hex, computed from the same packages.
    """

    def patch(module: ModuleType) -> None:
        tell = getattr(getattr(module, "torch_key", None), "set", None)
        if tell is not None and torch_key:
            with contextlib.suppress(RuntimeError):  # it is known already
                tell(bytes.fromhex(torch_key))

    return patch


def known_triton(key: str) -> Patch:
    """Tell Triton the key of itself, for which it would read and hash all of its library (449 MB
    in 3.7).

    Args:
        key: Computed from the same packages.
    """

    def patch(module: ModuleType) -> None:
        if key and hasattr(module, "triton_key"):
            module.__dict__["triton_key"] = lambda: key

    return patch


def tried_before(module: ModuleType) -> None:
    """Have an instruction set's program not tried again that was kept, and none kept that fails:
    this processor is as it was where it was tried."""
    isa = getattr(module, "VecISA", None)
    probe = getattr(isa, "_probe_load", None)
    if isa is None or probe is None:
        return

    def tried(self: object, output_path: str) -> bool:
        program = Path(output_path)
        if program.is_symlink() or probe(self, output_path):
            return True
        program.unlink(missing_ok=True)
        return False

    isa._probe_load = tried


def tell_of(listen: Callable[[Any], None]) -> Patch:
    """Have each of torch's compilations told as it is recorded (``CompilationMetrics``)."""

    def patch(module: ModuleType) -> None:
        recorded = getattr(module, "_compilation_metrics", None)
        if not isinstance(recorded, collections.deque):
            return

        class Told(collections.deque[Any]):
            def append(self, metrics: Any) -> None:
                super().append(metrics)
                listen(metrics)

        module.__dict__["_compilation_metrics"] = Told(recorded, recorded.maxlen)

    return patch


class ThreadCounts:
    """The numbers of compute threads that torch's compiled functions hold for, with all else that
    is the same in a whole process (``GlobalStateGuard``); with another it compiles them again."""

    def __init__(self) -> None:
        self._guards: list[Any] = []

    def follow(self, module: ModuleType) -> None:
        """Remember the guards that are made from now on (``torch._dynamo.convert_frame``)."""
        make = getattr(module, "GlobalStateGuard", None)
        if make is None:
            return

        def made() -> Any:
            guard = make()
            self._guards.append(guard)
            return guard

        module.__dict__["GlobalStateGuard"] = made

    def set(self, count: int) -> None:
        """Have them hold for another number, where the kernels were compiled for any."""
        for guard in self._guards:
            with contextlib.suppress(AttributeError, KeyError, ValueError, TypeError):
                state = json.loads(guard.__getstate__())
                guard.__setstate__(json.dumps({**state, "num_threads": count}))


def before_compiling(call: Callable[[], None]) -> bool:
    """Have a function called before torch compiles anything more; False where torch does not."""
    handler = getattr(sys.modules.get(CALLBACKS), "callback_handler", None)
    if handler is None:
        return False
    handler.register_start_callback(lambda *_: call())  # torch 2.6 gives nothing
    return True


@contextlib.contextmanager
def same_options() -> Iterator[None]:
    """Have torch's options afterwards as they were before.

    AOTInductor writes into them what it found out of the machine, and the keys of what
    torch.compile makes have them: later starts, which find the package, would look for others.
    """
    options = importlib.import_module(OPTIONS) if "torch" in sys.modules else None
    copied = getattr(options, "get_config_copy", dict)
    before: dict[str, Any] = copied()
    try:
        yield
    finally:
        for name, value in copied().items():
            if name in before and value != before[name]:
                setattr(options, name, before[name])


def end_workers() -> None:
    """End the processes that torch compiles in; it starts others when it needs them."""
    end = getattr(sys.modules.get(WORKERS), "shutdown_compile_workers", None)
    if end is not None:
        end()


def torch_key() -> str:
    """The digest of torch's source in hex; empty where it was not asked for."""
    compute = getattr(sys.modules.get(CODECACHE), "torch_key", None)
    return compute().hex() if compute is not None else ""


def triton_key() -> str:
    """Triton's key of itself; empty where it has none."""
    found = (getattr(sys.modules.get(name), "triton_key", None) for name in TRITON)
    compute = next(filter(None, found), None)
    return str(compute()) if compute is not None else ""


def said_by_compiler() -> dict[str, str]:
    """What the C++ compiler answers where torch asks it, by option; nothing where there is none."""
    import subprocess

    answers = {}
    for option in ("--version", "-v"):
        command = [os.environ.get("CXX") or "g++", option]
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run(
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True, timeout=30
            )
            answers[option] = done.stdout.decode(errors="replace")
    return answers


def install(patches: Mapping[str, Sequence[Patch]]) -> None:
    """Apply patches to modules, now or when they are imported.

    Args:
        patches: Name of a module to what is done to it, in order.
    """
    later = {}
    for name, each in patches.items():
        module = sys.modules.get(name)
        if module is None:
            later[name] = each
        else:
            for patch in each:
                patch(module)
    if later:
        sys.meta_path.insert(0, _Finder(later))


class _Finder(importlib.abc.MetaPathFinder):
    """Waits for modules."""

    def __init__(self, patches: Mapping[str, Sequence[Patch]]) -> None:
        self._patches = patches

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        patches = self._patches.get(name)
        if patches is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Loader(name, spec.loader.path, patches)
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a module and patches it."""

    def __init__(self, name: str, path: str, patches: Sequence[Patch]) -> None:
        super().__init__(name, path)
        self._patches = patches

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        for patch in self._patches:
            patch(module)
