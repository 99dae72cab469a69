"""``_bentoml_impl``: BentoML's inside, as far as services import it."""

from bentofn.runtime import absent, inside

absent.tell()

__getattr__ = inside.reader(__name__)
