"""EROFS images: the tree of some layers as one file that the kernel mounts."""
