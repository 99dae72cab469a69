"""``bentoml.images``."""

from bentofn.images import *  # noqa: F403
