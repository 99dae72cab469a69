"""``bentoml.xgboost``."""

from bentofn.runtime.frameworks.xgboost import *  # noqa: F403
