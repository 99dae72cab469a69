"""``bentoml.exceptions``."""

from bentofn.exceptions import *  # noqa: F403
