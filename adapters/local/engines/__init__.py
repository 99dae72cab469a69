"""How the local platform starts instances: plainly, out of a template, or from a snapshot."""

from bentofn.adapters.local.engines.base import (
    Engine,
    EngineRefused,
    Instance,
    InstanceSpec,
    Launch,
    StartFailed,
)
from bentofn.adapters.local.engines.criu import CriuEngine
from bentofn.adapters.local.engines.plain import PlainEngine
from bentofn.adapters.local.engines.python import boot_command, find_python
from bentofn.adapters.local.engines.restorer import Restorer
from bentofn.adapters.local.engines.template import TemplateEngine

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
    "TemplateEngine",
    "boot_command",
    "find_python",
]
