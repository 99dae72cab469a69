"""``bentoml.lightgbm``."""

from bentofn.runtime.frameworks.lightgbm import *  # noqa: F403
