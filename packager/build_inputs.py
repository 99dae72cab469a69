"""Everything that a build reads, read cheaply, and the digest that says whether it changed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bentofn.packager.code.declared import Declared, declared
from bentofn.packager.code.gpu import asks_for_gpu
from bentofn.packager.code.sources import HashedTree, collect
from bentofn.packager.config.conda_file import with_conda_file
from bentofn.packager.config.discovery import load_config, with_requirements_file
from bentofn.packager.config.docker_files import read_env, read_image
from bentofn.packager.config.image_options import merge_image, with_commands
from bentofn.packager.config.model import BuildConfig, ImageOptions
from bentofn.packager.digest_cache import hash_tree
from bentofn.packager.environment.pip_config import read_pip_config
from bentofn.packager.environment.requirements import (
    Requirements,
    read_requirements,
    with_wheel_folders,
)
from bentofn.packager.environment.resolve import lock_key
from bentofn.packager.environment.target import Target, find_target, interpreter_identity, supported
from bentofn.packager.environment.torch_build import CPU_INDEX
from bentofn.packager.environment.uv_lock import locked_versions
from bentofn.packager.home import Home
from bentofn.packager.layer_cache import layer_key
from bentofn.packager.runtime_files import runtime_digest, runtime_files
from bentofn.packager.slim.level import Slimming, find_slimming
from bentofn.packager.trust.kinds import ADMISSION_RULES
from bentofn.runtime.arguments import with_arguments
from bentofn.runtime.errors import UserError
from bentofn.runtime.surface import STOCK

if TYPE_CHECKING:
    from bentofn.packager.trust.keys import Signer


@dataclass(frozen=True)
class BuildOptions:
    """What the command line says about a build; None takes the project's word.

    Args:
        name: The bento's name.
        version: Its version; by default the first digits of its digest.
        labels: Labels, added to those of the bentofile.
        bentofile: A build file to read instead of the project's own.
        platform: OCI platform, such as ``linux/amd64``; by default this machine's.
        python: Minor version of the interpreter; by default the bentofile's, or this one's.
        gpu: Whether the service runs on a GPU; by default what its files say.
        cpu_only: What has no GPU, such as ``Target aws-lambda``, so that torch's CUDA build is
            refused; None where it may be had.
        upgrade: Whether the requirements are resolved again, although they did not change.
        slim: ``safe`` leaves out of the environment what is on the safe list, ``off`` nothing;
            ``traced`` is ``safe`` and notes what a first answer needs, to be fetched first.
        release: Whether the packages are compressed as far as is sensible (minutes, once).
        signer: The private key that signs the bento.
        allow_secrets: Files that may hold secrets.
        allow_pickles: Files that may hold pickles which import what is dangerous.
        arguments: What the service reads with ``use_arguments``, over those of the bentofile.
        service: The service, instead of the bentofile's.
        reads_image: Whether ``image=`` in the code counts.
    """

    name: str | None = None
    version: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    bentofile: Path | None = None
    platform: str | None = None
    python: str | None = None
    gpu: bool | None = None
    cpu_only: str | None = None
    upgrade: bool = False
    slim: str = "safe"
    release: bool = False
    signer: Signer | None = None
    allow_secrets: tuple[str, ...] = ()
    allow_pickles: tuple[str, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    service: str | None = None
    reads_image: bool = True


@dataclass(frozen=True)
class BuildInputs:
    """What a build is made from.

    Args:
        project: The project's folder.
        options: The command line.
        config: The build file.
        description: The user's text, read from its file if it stands in one.
        image: What an image of it holds.
        envs: The environment variables that have a value; one holds the arguments.
        tree: The project's files.
        runtime: Path to file of the runtime.
        runtime_digest: Its digest.
        target: What the environment is for.
        requirements: What it must satisfy.
        lock_key: Names the lock of those.
        slimming: What is left out of the environment.
        loaded: Tags of the models that its code names where it loads them.
        warnings: What the user should know, one sentence each.
    """

    project: Path
    options: BuildOptions
    config: BuildConfig
    description: str
    image: ImageOptions
    envs: Mapping[str, str]
    tree: HashedTree
    runtime: Mapping[str, Path]
    runtime_digest: str
    target: Target
    requirements: Requirements
    lock_key: str
    slimming: Slimming
    loaded: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def interpreter(self) -> str:
        """Names the exact interpreter, whose bytecode and imports are in the bento."""
        return interpreter_identity(self.target)

    @property
    def service(self) -> str:
        """The service, relative to the code's root in the bento."""
        return _service_of(self.config)

    @property
    def resolves_again(self) -> bool:
        """Whether the packages are chosen anew, although nothing changed."""
        return self.options.upgrade or not self.config.python.is_locked

    @property
    def key(self) -> str:
        """Digest of all inputs but the models, in hex."""
        plain = self.config.to_plain()
        plain.pop("warnings")
        return layer_key(
            "build",
            plain,
            self.description,
            self.image.to_plain(),
            dict(self.envs),
            self.tree.digest,
            self.runtime_digest,
            self.lock_key,
            self.interpreter,
            self.slimming.identity,
            [self.options.name, self.options.version, dict(self.options.labels)],
            self.options.release,
            [sorted(self.options.allow_secrets), sorted(self.options.allow_pickles)],
            ADMISSION_RULES,
        )


def gather(project: Path, home: Home, options: BuildOptions) -> BuildInputs:
    """Read a build's inputs.

    Raises:
        UserError: The project cannot be built; the message says why.
    """
    project = project.resolve()
    config = load_config(project, home, options.bentofile, options.service)
    config = with_conda_file(project, config)
    found = collect(project, config.include, config.exclude, config.source_root)
    tree = hash_tree(project, found.files, home)
    runtime = runtime_files()
    version = runtime_digest(runtime)
    own_envs = {env.name: env.value for env in config.envs if env.value is not None}
    envs = with_arguments(
        {**read_env(project, config.docker), **own_envs},
        {**config.arguments, **options.arguments},
    )
    said = declared(project, config.source_root, _service_of(config), tree, envs, version, home)
    if not options.reads_image:
        said = replace(said, image=None, trouble=None)
    config, image, notes = _with_image(project, config, said)
    config, taken = with_requirements_file(project, config)
    if said.missing:
        envs[STOCK] = "1"
    python, too_old = supported(config.python_version)
    target = find_target(options.python or python, options.platform)
    slimming = find_slimming(options.slim, target)
    gpu = _asks_for_gpu(project, config, said) if options.gpu is None else options.gpu
    gpu = gpu and options.cpu_only is None
    settings = replace(read_pip_config(os.environ), torch_cpu_index=None if gpu else CPU_INDEX)
    pins = locked_versions(project, settings, home) if config.python.uv_lock else ()
    requirements = with_wheel_folders(
        read_requirements(
            project,
            config.python,
            settings,
            keeps_bentoml=bool(said.missing),
            pins=pins,
            needs=said.needs,
        ),
        target,
        home,
    )
    return BuildInputs(
        project=project,
        options=options,
        config=config,
        description=_description(project, config.description),
        image=image,
        envs=envs,
        tree=tree,
        runtime=runtime,
        runtime_digest=version,
        target=target,
        requirements=requirements,
        lock_key=lock_key(project, requirements, target),
        slimming=slimming,
        loaded=said.loaded,
        warnings=(
            *config.warnings,
            *notes,
            *too_old,
            *taken,
            *found.warnings,
            *requirements.notes,
            *slimming.warnings,
        ),
    )


def _with_image(
    project: Path, config: BuildConfig, said: Declared
) -> tuple[BuildConfig, ImageOptions, tuple[str, ...]]:
    """The configuration and the image with what the service says; and what the user should know."""
    notes: tuple[str, ...] = ()
    if said.missing:
        notes = (
            f"The service uses {', '.join(said.missing)}, which bentofn does not carry: the bento "
            "keeps BentoML's own package.",
        )
    if said.trouble is not None:
        python = config.python
        why = (
            f"What {config.service} says of its image could not be read: "
            f"{said.trouble.rstrip('.')}. If that cannot be mended, list its packages under "
            "python.packages in bentofile.yaml."
        )
        if not (python.packages or python.requirements_files or python.wheels):
            raise UserError(why)
        notes += (why,)
    if said.image is None:
        return config, read_image(project, config.docker), notes
    config = merge_image(config, said.image, project)
    image, more = with_commands(read_image(project, config.docker), said.image)
    return config, image, (*notes, *more)


def _service_of(config: BuildConfig) -> str:
    """The service, relative to the code's root."""
    root = config.source_root
    return config.service.removeprefix(f"{root}/") if root else config.service


def _asks_for_gpu(project: Path, config: BuildConfig, said: Declared) -> bool:
    return asks_for_gpu(project, config) if said.gpu is None else said.gpu


def check_unchanged(tree: HashedTree) -> None:
    """Make sure that what was packed is what was hashed.

    Raises:
        UserError: A file changed since it was hashed.
    """
    for file in tree.files:
        try:
            now = file.source.stat()
        except OSError:
            raise UserError(f"{file.path} vanished while the build ran; build again.") from None
        if (now.st_size, now.st_mtime_ns, now.st_ctime_ns, now.st_ino) != file.stat:
            raise UserError(f"{file.path} changed while the build ran; build again.")


def _description(project: Path, text: str) -> str:
    if not text.startswith("file:"):
        return text
    path = project / text.removeprefix("file:").strip()
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise UserError(f"description: the file {path} cannot be read as text.") from None
