"""The model store: weights as safetensors and the files beside them, as OCI artifacts."""

from bentofn.packager.modelstore.access import (
    ModelInfo,
    describe_model,
    export_model,
    local_path,
    model_layers,
)
from bentofn.packager.modelstore.importer import import_model

__all__ = [
    "ModelInfo",
    "describe_model",
    "export_model",
    "import_model",
    "local_path",
    "model_layers",
]
