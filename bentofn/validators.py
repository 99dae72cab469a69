"""What an annotation says about arrays, tables and files."""

from bentofn.runtime.validators import (
    ContentType,
    DataframeSchema,
    DType,
    FileSchema,
    PILImageEncoder,
    Shape,
    TensorSchema,
)

__all__ = [
    "ContentType",
    "DType",
    "DataframeSchema",
    "FileSchema",
    "PILImageEncoder",
    "Shape",
    "TensorSchema",
]
