"""``bentoml.io``."""

from bentofn.io import *  # noqa: F403
