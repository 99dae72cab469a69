"""Where a service is declared, and how it can be imported again."""

from __future__ import annotations

import sys
from types import FrameType
from typing import TYPE_CHECKING, Any

from bentofn.runtime.errors import UserError

if TYPE_CHECKING:
    from bentofn.runtime.service import Service


def import_string(service: Service[Any]) -> str:
    """``module:Name`` by which a service can be imported: the variable that holds it.

    Raises:
        UserError: No variable of a module holds it.
    """
    preferred = (service.inner.__module__, service.declared_in)
    for name in dict.fromkeys((*preferred, *sys.modules)):
        module = sys.modules.get(name)
        if module is None:
            continue
        held = [key for key, value in list(vars(module).items()) if value is service]
        if held:
            own = service.inner.__name__
            return f"{name}:{own if own in held else held[0]}"
    raise UserError(
        f"The service {service.name} cannot be imported: assign it to a variable of a module."
    )


def declaring_frame() -> FrameType:
    """The frame of the code that declares the service that is being made."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__package__") == __package__:
        frame = frame.f_back
    return frame
