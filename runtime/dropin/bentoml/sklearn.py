"""``bentoml.sklearn``."""

from bentofn.runtime.frameworks.sklearn import *  # noqa: F403
