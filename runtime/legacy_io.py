"""BentoML's descriptors of the time before annotations: services import them and use them no more.

Each says what to annotate in its place when somebody makes one.
"""

from __future__ import annotations

from typing import Any, NoReturn

from bentofn.runtime.errors import APIDeprecated


class IODescriptor:
    """A descriptor. Making one is refused."""

    annotation = "the type"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._refuse()

    @classmethod
    def from_sample(cls, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused, as making one is."""
        cls._refuse()

    @classmethod
    def _refuse(cls) -> NoReturn:
        raise APIDeprecated(
            f"bentoml.io.{cls.__name__} is of BentoML's old services, which bentofn does not run: "
            f"annotate the parameter or the result of a @bentoml.api method with {cls.annotation}."
        )


class JSON(IODescriptor):
    """A JSON document."""

    annotation = "a pydantic model, dict[str, Any] or any JSON type"


class Text(IODescriptor):
    """A text."""

    annotation = "str"


class NumpyNdarray(IODescriptor):
    """A numpy array."""

    annotation = "numpy.ndarray, or Annotated[numpy.ndarray, Shape(...), DType(...)]"


class PandasDataFrame(IODescriptor):
    """A pandas data frame."""

    annotation = "pandas.DataFrame"


class PandasSeries(IODescriptor):
    """A pandas series."""

    annotation = "pandas.DataFrame or list"


class Image(IODescriptor):
    """A picture."""

    annotation = "PIL.Image.Image"


class File(IODescriptor):
    """A file."""

    annotation = "pathlib.Path"


class Multipart(IODescriptor):
    """Several parts."""

    annotation = "one parameter for each part"


class SSE(IODescriptor):
    """A server-sent event."""

    annotation = "AsyncGenerator[str, None], and yield f'data: {text}\\n\\n'"
