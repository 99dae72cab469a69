"""The functions of a home by name, and what each is made with."""

from __future__ import annotations

import itertools
from pathlib import Path

from bentofn.adapters.local.core.tuning import profile_of
from bentofn.adapters.local.engines.shared import Shared
from bentofn.adapters.local.functions import Function
from bentofn.adapters.local.isolation.cells import Confinement
from bentofn.adapters.local.isolation.limits import Limits
from bentofn.adapters.local.isolation.policy import Isolation, private_paths
from bentofn.adapters.local.logs import LogWriter, log_path
from bentofn.adapters.settings import FunctionSpec
from bentofn.packager.home import Home
from bentofn.runtime.errors import UserError


class Roster:
    """Functions, those that are only being deployed for the first time among them.

    Args:
        home: Whose.
        sockets: A short private directory for the instances' sockets.
        confinement: What holds the instances to their limits.
        shared: The platform's.

    Raises:
        UserError: The home cannot be written.
    """

    def __init__(self, home: Home, sockets: Path, confinement: Confinement, shared: Shared) -> None:
        self.functions: dict[str, Function] = {}
        self._home = home
        self._sockets = sockets
        self._hidden = (sockets, *private_paths(home))
        self._confinement = confinement
        self._shared = shared
        self._numbers = itertools.count(1)

    def log_of(self, name: str) -> Path:
        """Where a function's log stands."""
        return log_path(self._home.logs, name)

    def get(self, name: str) -> Function:
        """A deployed function.

        Raises:
            UserError: There is none of this name.
        """
        function = self.functions.get(name)
        if function is None or function.deployment is None:
            deployed = sorted(f.name for f in self.functions.values() if f.deployment)
            raise UserError(
                f"There is no function {name!r} on the local platform; "
                f"deployed: {', '.join(deployed) or 'none'}."
            )
        return function

    def obtain(self, name: str) -> Function:
        """A function, made if there is none of this name."""
        if name not in self.functions:
            log = LogWriter(self.log_of(name))
            self.functions[name] = Function(
                name, log, self._socket_directory, self._shared, self._isolate,
                self._home.tasks / f"{name}.db",
            )  # fmt: skip
        return self.functions[name]

    def _isolate(self, spec: FunctionSpec) -> Isolation:
        limits = Limits.of(spec.settings, profile_of(spec.settings))
        cells = self._confinement.cells(limits, f"{spec.name}-")
        return Isolation(cells, self._hidden)

    def _socket_directory(self) -> Path:
        return self._sockets / str(next(self._numbers))
