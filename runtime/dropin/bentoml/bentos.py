"""``bentoml.bentos``."""

from bentofn.bentos import *  # noqa: F403
