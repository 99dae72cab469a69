"""``_bentoml_sdk.service.factory``: BentoML's inside, as far as services import it."""

from bentofn.runtime import inside

__getattr__ = inside.reader(__name__)
