"""``_bentoml_sdk``: BentoML's inside, as far as services import it."""

import importlib

from bentofn.runtime import absent, inside
from bentofn.runtime.declare import service as decorator

absent.tell()

# First, since importing it would put the module in the decorator's place later.
importlib.import_module(f"{__name__}.service")
service = decorator

__getattr__ = inside.reader(__name__)
