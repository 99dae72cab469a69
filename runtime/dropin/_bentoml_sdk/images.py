"""``_bentoml_sdk.images``: BentoML's inside, as far as services import it."""

from bentofn.runtime import inside

__getattr__ = inside.reader(__name__)
