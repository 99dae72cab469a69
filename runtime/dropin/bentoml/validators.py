"""``bentoml.validators``."""

from bentofn.validators import *  # noqa: F403
