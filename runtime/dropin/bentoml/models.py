"""``bentoml.models``."""

from bentofn.models import *  # noqa: F403
