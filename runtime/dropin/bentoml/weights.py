"""``bentofn.weights``, which BentoML has not."""

from bentofn.weights import *  # noqa: F403
