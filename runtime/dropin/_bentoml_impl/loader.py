"""``_bentoml_impl.loader``: BentoML's inside, as far as services import it."""

from bentofn.runtime import inside

__getattr__ = inside.reader(__name__)
