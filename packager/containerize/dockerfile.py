"""A Dockerfile and its context that make the same image, for those who have a builder.

It is also what a ``dockerfile_template`` of BentoML's is rendered on: a template may replace or
extend the blocks that BentoML's own has.
https://docs.bentoml.com/en/1.1/guides/containerization.html#dockerfile-template
"""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

from bentofn.packager.config.model import ImageOptions
from bentofn.packager.containerize.default_base import cuda_variables, default_base
from bentofn.packager.containerize.image_config import HOST, bento_labels, entrypoint, port_of
from bentofn.packager.containerize.names import parse_place
from bentofn.packager.containerize.own_layers import USER, USER_HOME, USER_ID
from bentofn.packager.files import make_directory, temporary_directory
from bentofn.packager.home import Home
from bentofn.packager.roots.materialise import materialise
from bentofn.packager.store import Entry, Store
from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import ARCHIVE_PREFIX, BentoRoot
from bentofn.runtime.manifest import BentoManifest

_INSTALL = """\
RUN if command -v apt-get >/dev/null; then \\
      apt-get update -q && DEBIAN_FRONTEND=noninteractive \\
        apt-get install -q -y --no-install-recommends {packages} && rm -rf /var/lib/apt/lists/*; \\
    elif command -v apk >/dev/null; then apk add --no-cache {packages}; \\
    elif command -v microdnf >/dev/null; then microdnf install -y {packages}; \\
    else yum install -y {packages}; fi"""

_USER = f"""\
RUN grep -q '^{USER}:' /etc/passwd || \\
    {{ echo '{USER}:x:{USER_ID}:' >> /etc/group && \\
      echo '{USER}:x:{USER_ID}:{USER_ID}:{USER}:/{USER_HOME}:/usr/sbin/nologin' >> /etc/passwd && \\
      mkdir -p /{USER_HOME} && chown {USER_ID}:{USER_ID} /{USER_HOME}; }}"""

_BLOCKS = (
    "SETUP_BENTO_BASE_IMAGE",
    "SETUP_BENTO_USER",
    "SETUP_BENTO_ENVARS",
    "SETUP_BENTO_COMPONENTS",
    "SETUP_BENTO_ENTRYPOINT",
)
"""BentoML's, in its order. Source: container/frontend/dockerfile/templates/base.j2"""


def write_dockerfile(
    home: Home, store: Store, entry: Entry, base: str | None, target: Path, *, root_user: bool
) -> None:
    """Write a folder to run ``docker build`` on.

    Args:
        home: The home.
        store: Its store.
        entry: The bento.
        base: The base image; None takes the bento's.
        target: The folder; must not exist, or be empty.
        root_user: Whether the service runs as root.

    Raises:
        UserError: Something stands at the target, a layer is damaged, the template cannot be
            rendered, or the disk is full.
    """
    if target.exists() and (target.is_file() or any(target.iterdir())):
        raise UserError(f"{target} is there already; choose another folder.")
    if base is not None and parse_place(base).scheme != "registry":
        raise UserError(f"A builder cannot build on {base}; name an image in a registry as --base.")
    bento = store.bento(entry)
    options = ImageOptions.from_plain(bento.docker)
    image = base or default_base(options, bento.python, bento.platform)
    blocks = _blocks(bento, entry.digest, options, image, root_user=root_user)
    text = render(options.dockerfile_template, blocks, image)
    with temporary_directory(make_directory(target.absolute().parent)) as temporary:
        new = make_directory(temporary / "new")
        _copy_root(materialise(home, entry), new / "bento", bento)
        if options.setup_script:
            (new / "setup_script").write_text(options.setup_script, encoding="utf-8")
            (new / "setup_script").chmod(0o755)
        (new / "Dockerfile").write_text(text, encoding="utf-8")
        if target.exists():
            target.rmdir()
        new.rename(target.absolute())


def render(template: str | None, blocks: Mapping[str, str], image: str) -> str:
    """The Dockerfile of some blocks, which a template may change.

    Args:
        template: A Jinja2 template that extends ``bento_base_template``, or None.
        blocks: Name to text.
        image: The base image.

    Raises:
        UserError: The template is wrong, or Jinja2 is not installed.
    """
    if template is None:
        return "\n\n".join(blocks[name] for name in _BLOCKS) + "\n"
    try:
        from jinja2 import DictLoader, StrictUndefined
        from jinja2.sandbox import SandboxedEnvironment
    except ImportError as error:
        raise UserError(
            "docker.dockerfile_template needs Jinja2; install it with: "
            "pip install 'bentofn[dockerfile]'."
        ) from error
    own = "\n\n".join(
        f"{{% block {name} %}}{{{{ blocks[{name!r}] }}}}{{% endblock %}}" for name in _BLOCKS
    )
    # The template came with the bento, which may be somebody else's.
    environment = SandboxedEnvironment(
        loader=DictLoader({"base": own}), undefined=StrictUndefined, keep_trailing_newline=True
    )
    try:
        return environment.from_string(template).render(
            bento_base_template="base",
            blocks=blocks,
            bento__base_image=image,
            bento__path=f"/{ARCHIVE_PREFIX}",
            bento__home=f"/{USER_HOME}",
            bento__user=USER,
            bento__uid_gid=USER_ID,
        )
    except Exception as error:  # whatever the template's own expressions raise
        raise UserError(
            f"docker.dockerfile_template cannot be rendered: {error}; bentofn knows the blocks "
            f"{', '.join(_BLOCKS)}."
        ) from error


def _blocks(
    bento: BentoManifest, digest: str, options: ImageOptions, image: str, *, root_user: bool
) -> dict[str, str]:
    components = []
    if options.system_packages:
        packages = " ".join(shlex.quote(name) for name in options.system_packages)
        components.append(_INSTALL.format(packages=packages))
    folders = ["env", *(f"models/{m.name}/{m.version}" for m in bento.models), "runtime", "src"]
    # What changes often stands last: a builder copies anew what follows a change.
    components += [f"COPY bento/{path} /{ARCHIVE_PREFIX}/{path}" for path in folders]
    components.append(f"COPY bento/bento.json /{ARCHIVE_PREFIX}/bento.json")
    if options.setup_script:
        components.append("COPY setup_script /tmp/setup_script")
        components.append(f"WORKDIR /{ARCHIVE_PREFIX}")
        components.append("RUN /tmp/setup_script && rm -f /tmp/setup_script")
    variables = {
        "HOME": "/root" if root_user else f"/{USER_HOME}",
        "PORT": port_of(bento),
        **cuda_variables(options, bento.lock),
        **bento.envs,
        "BENTOFN_ROOT": f"/{ARCHIVE_PREFIX}",
    }
    user = "0:0" if root_user else f"{USER_ID}:{USER_ID}"
    python = entrypoint(f"python{bento.python}")
    labels = bento_labels(bento, digest)
    ending = [
        f"EXPOSE {port_of(bento)}",
        *(f"LABEL {_quoted(name)}={_quoted(value)}" for name, value in labels.items()),
        f"USER {user}",
        f"WORKDIR /{ARCHIVE_PREFIX}/src",
        f"ENTRYPOINT {json.dumps(python)}",
        f"CMD {json.dumps(['serve', '--host', HOST])}",
    ]
    texts = (
        f"FROM --platform={bento.platform} {image}",
        "USER root" if root_user else f"USER root\n{_USER}",
        "\n".join(f"ENV {name}={_quoted(value)}" for name, value in variables.items()),
        "\n".join(components),
        "\n".join(ending),
    )
    return dict(zip(_BLOCKS, texts, strict=True))


def _quoted(value: str) -> str:
    """A value as a Dockerfile takes it without reading anything into it."""
    if "\n" in value or "\r" in value:
        raise UserError(
            f"A Dockerfile cannot hold {value[:40]!r}, which has several lines; shorten it."
        )
    for character in ("\\", '"', "$"):
        value = value.replace(character, f"\\{character}")
    return f'"{value}"'


def _copy_root(root: Path, target: Path, bento: BentoManifest) -> None:
    source = BentoRoot(root)
    make_directory(target)
    shutil.copyfile(source.manifest, target / "bento.json")
    for name in ("env", "runtime", "src"):
        shutil.copytree((root / name).resolve(), target / name, symlinks=True)
    for model in bento.models:
        path = Path("models", model.name, model.version)
        shutil.copytree((root / path).resolve(), target / path)  # its files may be links
