"""How the local platform starts instances: plainly, or out of a warmed template."""

from bentofn.adapters.local.engines.base import (
    Engine,
    EngineRefused,
    Instance,
    InstanceSpec,
    StartFailed,
)
from bentofn.adapters.local.engines.plain import PlainEngine
from bentofn.adapters.local.engines.python import boot_command, find_python
from bentofn.adapters.local.engines.template import TemplateEngine

__all__ = [
    "Engine",
    "EngineRefused",
    "Instance",
    "InstanceSpec",
    "PlainEngine",
    "StartFailed",
    "TemplateEngine",
    "boot_command",
    "find_python",
]
