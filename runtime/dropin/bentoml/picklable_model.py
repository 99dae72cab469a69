"""``bentoml.picklable_model``."""

from bentofn.runtime.frameworks.picklable_model import *  # noqa: F403
