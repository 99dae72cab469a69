"""The protobuf messages of CRIU's images and of its RPC, as far as we use them.

Field numbers and types are facts of the format, read off images of CRIU 4.2. A field that is not
named here is kept as it is: protobuf passes on what it does not know.
"""

from __future__ import annotations

import functools
from typing import Any

_PACKAGE = "bentofn.criu"

_MESSAGES: dict[str, tuple[tuple[str, int, str], ...]] = {
    "Inventory": (("img_version", 1, "uint32"),),
    "Process": (("pid", 1, "uint32"),),
    "FileEntry": (("type", 1, "uint32"), ("id", 2, "uint32"), ("reg", 3, "bytes")),
    "SocketFile": (("usk", 16, "bytes"),),
    "UnixSocket": (("ino", 2, "uint32"), ("name", 11, "bytes")),
    "RegularFile": (
        ("id", 1, "uint32"),
        ("flags", 2, "uint32"),
        ("pos", 3, "uint64"),
        ("fown", 5, "bytes"),
        ("name", 6, "string"),
        ("mnt_id", 7, "sint32"),
        ("size", 8, "uint64"),
        ("ext", 9, "bool"),
        ("mode", 10, "uint32"),
        ("build_id", 11, "repeated uint32"),
        ("checksum", 12, "uint32"),
        ("checksum_config", 13, "uint32"),
        ("checksum_parameter", 14, "uint32"),
    ),
    "Memory": (
        ("mm_start_code", 1, "uint64"),
        ("mm_end_code", 2, "uint64"),
        ("mm_start_data", 3, "uint64"),
        ("mm_end_data", 4, "uint64"),
        ("mm_start_stack", 5, "uint64"),
        ("mm_start_brk", 6, "uint64"),
        ("mm_brk", 7, "uint64"),
        ("mm_arg_start", 8, "uint64"),
        ("mm_arg_end", 9, "uint64"),
        ("mm_env_start", 10, "uint64"),
        ("mm_env_end", 11, "uint64"),
        ("exe_file_id", 12, "uint32"),
        ("mm_saved_auxv", 13, "repeated uint64"),
        ("vmas", 14, "repeated bytes"),
        ("dumpable", 15, "int32"),
        ("aios", 16, "repeated bytes"),
        ("thp_disabled", 17, "bool"),
    ),
    "Vma": (
        ("start", 1, "uint64"),
        ("end", 2, "uint64"),
        ("pgoff", 3, "uint64"),
        ("shmid", 4, "uint64"),
        ("prot", 5, "uint32"),
        ("flags", 6, "uint32"),
        ("status", 7, "uint32"),
        ("fd", 8, "sint64"),
        ("madv", 9, "uint64"),
        ("fdflags", 10, "uint32"),
    ),
    "PagemapHead": (("pages_id", 1, "uint32"),),
    "PageRun": (
        ("vaddr", 1, "uint64"),
        ("compat_nr_pages", 2, "uint32"),
        ("in_parent", 3, "bool"),
        ("flags", 4, "uint32"),
        ("nr_pages", 5, "uint64"),
    ),
    "Request": (("type", 1, "uint32"), ("opts", 2, "bytes"), ("notify_success", 3, "bool")),
    "Options": (
        ("images_dir_fd", 1, "int32"),
        ("log_level", 9, "int32"),
        ("notify_scripts", 12, "bool"),
        ("work_dir_fd", 17, "int32"),
        ("manage_cgroups", 24, "bool"),
        ("rst_sibling", 26, "bool"),
        ("inherit_fd", 27, "repeated bytes"),
        ("manage_cgroups_mode", 34, "uint32"),
        ("images_dir", 68, "string"),
        ("log_to_stderr", 71, "bool"),
    ),
    "InheritedFd": (("key", 1, "string"), ("fd", 2, "int32")),
    "Response": (
        ("type", 1, "uint32"),
        ("success", 2, "bool"),
        ("restore", 4, "bytes"),
        ("notify", 5, "bytes"),
        ("cr_errno", 7, "int32"),
        ("cr_errmsg", 9, "string"),
    ),
    "RestoreResponse": (("pid", 1, "int32"),),
    "Notification": (("script", 1, "string"), ("pid", 2, "int32")),
}


@functools.cache
def message_class(name: str) -> type[Any]:
    """The class of a message, by its key in ``_MESSAGES``. A message inside it is bytes."""
    from google.protobuf import message_factory

    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"{_PACKAGE}.{name}"))


@functools.cache
def _pool() -> Any:
    from google.protobuf import descriptor_pb2, descriptor_pool

    field_types = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="bentofn/criu.proto", package=_PACKAGE, syntax="proto2"
    )
    for message, fields in _MESSAGES.items():
        described = file.message_type.add(name=message)
        for name, number, kind in fields:
            described.field.add(
                name=name,
                number=number,
                type=field_types.Type.Value(f"TYPE_{kind.split()[-1].upper()}"),
                label=field_types.LABEL_REPEATED
                if kind.startswith("repeated")
                else field_types.LABEL_OPTIONAL,
            )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return pool
