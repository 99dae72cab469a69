"""How the local platform starts instances: plainly, out of a template, or from a snapshot.

- :mod:`base` says what an engine is; :mod:`plain` starts an interpreter for each instance.
- :mod:`forked` forks instances out of a process that is kept, a ``Parent``.
- :mod:`restored` restores them from disk with CRIU workers that are started ahead.
- :mod:`checkpointed` has them sleep in their process, and wakes them.
- :mod:`process` follows what was started, over the :mod:`sockets` that it was given: what it says
  (:mod:`inbox`) and writes (:mod:`output`); :mod:`children` starts processes in namespaces of their
  own.
- :mod:`shared` holds what the functions of one platform have in common.
"""

from bentofn.adapters.local.engines.base import (
    Engine,
    EngineRefused,
    Instance,
    InstanceSpec,
    Launch,
    StartFailed,
    StartTimedOut,
)
from bentofn.adapters.local.engines.forked.template import TemplateEngine
from bentofn.adapters.local.engines.plain import PlainEngine
from bentofn.adapters.local.engines.restored.criu import CriuEngine
from bentofn.adapters.local.engines.restored.restorer import Restorer
from bentofn.adapters.local.interpreter import boot_command, find_python

__all__ = [
    "CriuEngine",
    "Engine",
    "EngineRefused",
    "Instance",
    "InstanceSpec",
    "Launch",
    "PlainEngine",
    "Restorer",
    "StartFailed",
    "StartTimedOut",
    "TemplateEngine",
    "boot_command",
    "find_python",
]
