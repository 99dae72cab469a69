"""BentoML's old descriptors, which can be imported and not be used."""

from bentofn.runtime.legacy_io import (
    JSON,
    SSE,
    File,
    Image,
    IODescriptor,
    Multipart,
    NumpyNdarray,
    PandasDataFrame,
    PandasSeries,
    Text,
)

__all__ = [
    "JSON",
    "SSE",
    "File",
    "IODescriptor",
    "Image",
    "Multipart",
    "NumpyNdarray",
    "PandasDataFrame",
    "PandasSeries",
    "Text",
]
