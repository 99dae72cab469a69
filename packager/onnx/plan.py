"""Which packages are for the build only, where a service's models are exported to ONNX.

The bento's environment is resolved again without them, so that what only they needed is gone too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from bentofn.packager.build_inputs import BuildInputs
from bentofn.packager.environment.names import requirement_name
from bentofn.packager.environment.requirements import Requirements
from bentofn.packager.environment.resolve import Lock, lock_key
from bentofn.packager.environment.torch_build import CPU_INDEX, FAMILY
from bentofn.packager.home import Home
from bentofn.packager.onnx.code import declares_onnx, imports_any, reached
from bentofn.packager.onnx.needed import needed_by
from bentofn.runtime.errors import UserError
from bentofn.runtime.exports import Export

EXPORTER = ("onnx>=1.17", "onnxscript>=0.3")
"""What ``torch.onnx.export(dynamo=True)`` imports besides torch.

Source: https://docs.pytorch.org/docs/stable/onnx_export.html
"""

RUNTIME = "onnxruntime"

_MISSING = re.compile(r"(?P<place>.+?): No module named '(?P<module>\w+)[\w.]*'")


@dataclass(frozen=True)
class Plan:
    """How a project whose models are exported is built.

    Args:
        inputs: What its bento is made from: the project's requirements without those for the build
            only, and with ONNX Runtime.
        building: What the environment that exports must satisfy.
        sources: Path to content of the project's Python files.
    """

    inputs: BuildInputs
    building: Requirements
    sources: Mapping[str, bytes]

    def check(self, lock: Lock, home: Home) -> None:
        """Make sure that the bento's environment holds no torch.

        Raises:
            UserError: A package that the user lists needs it.
        """
        if "torch" not in (requirement_name(line) for line in lock.lines):
            return
        inputs = self.inputs
        who = needed_by("torch", inputs.project, inputs.requirements, inputs.target, home)
        raise UserError(
            f"A model with runtime='onnx' is to be served without torch, but "
            f"{' and '.join(who) or 'a package'} needs it; if only the export uses "
            f"{'them' if len(who) > 1 else 'that'}, list what brings it under "
            "python.build_packages instead of python.packages, else serve the model without "
            "runtime='onnx'."
        )

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Say of a failed import of the service that the module is there for the build only.

        Raises:
            UserError: As raised inside, in other words where torch is what is missing.
        """
        try:
            yield
        except UserError as error:
            match = _MISSING.match(str(error))
            names = {_plain(requirement_name(line)) for line in self.building.packages}
            kept = {_plain(requirement_name(line)) for line in self.inputs.requirements.packages}
            if match is None or _plain(match["module"]) not in (names | {*FAMILY}) - kept:
                raise
            raise UserError(
                f"{match['place']}: {match['module']} is imported together with the service, but "
                "the bento does not hold it, because it is there for the export to ONNX only; "
                "import it inside of the function that makes the module, or keep that function in "
                "a file that the service does not import."
            ) from error

    def warnings(self, exports: Sequence[Export]) -> tuple[str, ...]:
        """What may fail when the service runs, one sentence each.

        Args:
            exports: Its declarations.
        """
        names = [export.module for export in exports]
        names += [export.example for export in exports if isinstance(export.example, str)]
        exporting = {
            path for name in names for path in reached(name.partition(":")[0], self.sources)
        }
        serving = reached(self.inputs.service.partition(":")[0], self.sources)
        return tuple(
            f"{path} imports torch in a function, but the bento holds no torch; that function "
            "fails if the service calls it."
            for path in serving
            if path not in exporting and imports_any(self.sources[path], FAMILY)
        )


def plan_exports(inputs: BuildInputs) -> Plan | None:
    """How to build a project whose service declares a model with ``runtime="onnx"``; else None."""
    sources = inputs.tree.python_sources()
    if not declares_onnx(inputs.service.partition(":")[0], sources):
        return None
    given = inputs.requirements
    kept = tuple(line for line in given.packages if requirement_name(line) not in FAMILY)
    named = {requirement_name(line) for line in (*given.packages, *given.build_packages)}
    own_runtime = any(name.startswith(RUNTIME) for name in named)
    serving = replace(given, packages=kept if own_runtime else (*kept, RUNTIME), build_packages=())
    building = replace(
        given,
        packages=(
            *given.packages,
            *given.build_packages,
            *(() if "torch" in named else ("torch",)),
            *(() if own_runtime else (RUNTIME,)),
            *EXPORTER,
        ),
        build_packages=(),
        # The export computes on the CPU whatever the service runs on.
        settings=replace(given.settings, torch_cpu_index=CPU_INDEX),
    )
    changed = replace(
        inputs,
        requirements=serving,
        lock_key=lock_key(inputs.project, serving, inputs.target),
    )
    return Plan(changed, building, sources)


def same_runtime(building: Requirements, lock: Lock) -> Requirements:
    """Have the export checked with the very ONNX Runtime that a bento's lock holds."""
    pins = [
        line.split(" ")[0].split(";")[0]
        for line in lock.lines
        if requirement_name(line).startswith(RUNTIME)
    ]
    return replace(building, constraints=(*building.constraints, *pins))


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")
