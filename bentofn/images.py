"""What a service says about the image that it needs."""

from bentofn.runtime.images import Image, PythonImage

__all__ = ["Image", "PythonImage"]
