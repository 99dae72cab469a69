"""The ``conda`` section of a bentofile, whose packages pip installs.

A bento's environment is made of wheels. Most packages of conda are on PyPI by the same name, so
that a section is read as the requirements that it stands for, and the build says so.

Source: https://docs.conda.io/projects/conda/en/latest/user-guide/concepts/pkg-specs.html
"""

from __future__ import annotations

import re

from pydantic import BaseModel, model_validator

from bentofn.packager.config.section import SECTION, Strings

_SPEC = re.compile(r"(?:[\w./-]+::)?(?P<name>[\w.-]+)\s*(?P<version>[^\s\[\]]*)(?:\s+\S+)?")
"""``channel::name version build``, of which the channel, version and build may lack."""

_PIP_NAMES = {"pytorch": "torch", "pytorch-cpu": "torch", "pytorch-gpu": "torch"}

_NO_PACKAGES = ("pip", "python", "python_abi", "setuptools", "wheel")
"""What a bento's environment is made with."""

_NATIVE = re.compile(
    r"_.*|lib.*|ld_impl_.*|.*_linux-(64|aarch64)|.*-(ng|cos\d|sysroot)|cuda.*|"
    "alsa-lib|blas|bzip2|c-ares|ca-certificates|cairo|compilers|cudnn|cxx-compiler|dbus|expat|"
    "ffmpeg|fontconfig|freetype|gcc|gettext|glib|gmp|gxx|harfbuzz|hdf5|icu|intel-openmp|jpeg|"
    "keyutils|krb5|lame|lcms2|lerc|llvm-openmp|lz4-c|make|mkl|mpc|mpfr|nccl|ncurses|nettle|"
    "nspr|nss|openblas|openh264|openjpeg|openssl|pandoc|pango|pcre2?|perl|pixman|"
    "pthread-stubs|pytorch-cuda|pytorch-mutex|qt|qt-main|r-base|readline|snappy|sqlite|tbb|tk|"
    "unixodbc|x264|x265|xorg-.*|xz|yaml|zeromq|zlib|zstd"
)
"""Programs and libraries of conda's that are no Python packages. Wheels bring the libraries that
they need; a package of PyPI that bears such a name is another one."""


class CondaSection(BaseModel):
    """``conda``: packages."""

    model_config = SECTION

    environment_yml: str | None = None
    channels: Strings = []
    dependencies: list[str | dict[str, Strings]] = []
    pip: Strings = []

    @model_validator(mode="after")
    def _as_requirements(self) -> CondaSection:
        for each in self.dependencies:
            if isinstance(each, dict) and set(each) != {"pip"}:
                raise ValueError("a mapping among the dependencies holds pip alone")
            if isinstance(each, str) and _SPEC.fullmatch(each.strip()) is None:
                raise ValueError(f"{each!r} is not a package, such as numpy=1.26")
        return self

    def left_out(self) -> list[str]:
        """What it names that is no Python package."""
        names = [_name(each) for each in self.dependencies if isinstance(each, str)]
        return [name for name in names if _NATIVE.fullmatch(name)]

    def requirements(self) -> list[str]:
        """Its packages as pip writes them."""
        found = []
        for each in self.dependencies:
            if isinstance(each, dict):
                found += each["pip"]
            elif (requirement := _requirement(each)) is not None:
                found.append(requirement)
        return [*found, *self.pip]

    def python_version(self) -> str | None:
        """The interpreter that it asks for, such as ``3.11``."""
        specs = [each for each in self.dependencies if isinstance(each, str)]
        found = (re.fullmatch(r"python\s*={1,2}\s*(\d+\.\d+)\S*", each.strip()) for each in specs)
        return next((match[1] for match in found if match), None)


def conda_notes(section: CondaSection) -> list[str]:
    """What the user should know of a section."""
    notes = []
    if requirements := section.requirements():
        notes.append(
            f"conda is not used: pip installs {', '.join(requirements)}; what PyPI lacks is for "
            "docker.system_packages, or a docker.base_image that has it."
        )
    if native := section.left_out():
        notes.append(
            f"conda is not used: {', '.join(native)} are no Python packages and are left out; what "
            "no wheel brings is for docker.system_packages."
        )
    return notes


def _name(spec: str) -> str:
    match = _SPEC.fullmatch(spec.strip())
    return match["name"].lower() if match else ""


def _requirement(spec: str) -> str | None:
    match = _SPEC.fullmatch(spec.strip())
    name = _name(spec)
    if match is None or name in _NO_PACKAGES or _NATIVE.fullmatch(name):
        return None
    version = match["version"]
    if exact := re.fullmatch(r"=?([\d.]+[\w.]*)(?:\.?\*)?(?:=\S*)?", version):
        version = f"=={exact[1].rstrip('.')}.*"
    elif build := re.fullmatch(r"(==[^=]+)=\S+", version):
        version = build[1]
    return _PIP_NAMES.get(name, name) + version
