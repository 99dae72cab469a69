"""Read-only file systems in user space: the kernel's FUSE protocol spoken over ``/dev/fuse``.

No libfuse: the part of the protocol that a read-only tree needs is small. :mod:`.protocol` is bytes
in and bytes out, :mod:`.tree` what there is to read, :mod:`.filesystem` answers one request from
the other two, and :mod:`.server` is the thin shell with the descriptor, the mount and the threads.
"""
