"""``bentoml.catboost``."""

from bentofn.runtime.frameworks.catboost import *  # noqa: F403
