"""Whether shared objects are for the machine that a bento is built for.

Layout: https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from pathlib import Path

from bentofn.runtime.errors import UserError

_NAME = re.compile(r".+\.(so(\.\d+)*|dylib|pyd)")

_ELF = {"linux/amd64": 62, "linux/arm64": 183}
"""``e_machine`` of a platform: EM_X86_64, EM_AARCH64."""

_ELF_NAMES = {3: "32-bit x86", 40: "32-bit ARM", 62: "x86-64", 183: "AArch64", 243: "RISC-V"}

_MACH_O = {b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe"}
"""https://github.com/apple-oss-distributions/xnu/blob/main/EXTERNAL_HEADERS/mach-o/loader.h"""


def refuse_other_machines(files: Mapping[str, Path], platform: str, remedy: str) -> None:
    """Make sure that no shared object is for another machine than a bento's.

    Args:
        files: Path in the bento to file.
        platform: The bento's OCI platform.
        remedy: What to do about it, for the message.

    Raises:
        UserError: There is one; the message names it.
    """
    for path, file in sorted(files.items()):
        if not _NAME.fullmatch(path) or not file.is_file():
            continue
        with file.open("rb") as opened:
            machine = machine_of(opened.read(20))
        if machine is not None and machine != _ELF[platform]:
            name = "macOS" if machine == 0 else _ELF_NAMES.get(machine, f"machine {machine}")
            raise UserError(f"{path} is compiled for {name}, not for {platform}; {remedy}.")


def machine_of(head: bytes) -> int | None:
    """What a shared object is compiled for.

    Args:
        head: Its first 20 bytes.

    Returns:
        ELF's ``e_machine``; 0 for a Mach-O file; None for what is neither.
    """
    if head[:4] in _MACH_O:
        return 0
    if len(head) < 20 or head[:4] != b"\x7fELF":
        return None
    return int(struct.unpack_from("<H" if head[5] == 1 else ">H", head, 18)[0])
