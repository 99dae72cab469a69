"""``bentoml.gradio``."""

from bentofn.gradio import *  # noqa: F403
