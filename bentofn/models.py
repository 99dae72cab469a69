"""The models that a service uses."""

from bentofn.runtime.models import BentoModel, HuggingFaceModel, Model, get
from bentofn.runtime.models import list_models as list

__all__ = ["BentoModel", "HuggingFaceModel", "Model", "get", "list"]
