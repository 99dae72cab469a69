"""``bentoml.mlflow``."""

from bentofn.runtime.frameworks.mlflow import *  # noqa: F403
