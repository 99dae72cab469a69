"""``bentoml.monitoring``."""

from bentofn.monitoring import *  # noqa: F403
