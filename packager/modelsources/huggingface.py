"""Models of the Hugging Face hub, through huggingface_hub: its cache, its token, its settings."""

from __future__ import annotations

import errno
import glob
import hashlib
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from bentofn.packager.modelsources.hub_files import Selection, select
from bentofn.packager.modelsources.source import Fetched, Report
from bentofn.packager.store.tags import MAX_LENGTH
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import canonical_json
from bentofn.runtime.models import HUB_PREFIX

_TIMEOUT = 30.0
"""Seconds until the hub must have answered a question about a repository."""

_ATTEMPTS = 3
"""Times that a download is tried, beyond what huggingface_hub does itself."""

_MODEL_ID = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)


@dataclass(frozen=True)
class HubModel:
    """A model of the hub, as a user names it.

    Args:
        model_id: ``org/name``, or ``name``.
        revision: Branch, tag or commit.
        endpoint: The hub's URL; None takes huggingface_hub's setting.
        include: Patterns of the files to take.
        exclude: Patterns of the files to leave.
    """

    model_id: str
    revision: str
    endpoint: str | None = None
    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] | None = None

    @classmethod
    def parse(cls, text: str) -> HubModel:
        """Read ``hf:org/name@revision?include=PATTERN``, which a service's declaration becomes.

        Raises:
            UserError: It names no model, or its endpoint is no address or carries a password.
        """
        address, _, query = text.removeprefix(HUB_PREFIX).partition("?")
        model_id, at, revision = address.partition("@")
        said = parse_qs(query, keep_blank_values=True)
        if not _MODEL_ID.fullmatch(model_id) or (at and not revision):
            raise UserError(f"{text!r} names no model of the hub; write hf:org/name@revision.")
        return cls(
            model_id,
            revision or "main",
            _check_endpoint(said.get("endpoint", [None])[0]),
            tuple(said["include"]) if "include" in said else None,
            tuple(said["exclude"]) if "exclude" in said else None,
        )

    @property
    def name(self) -> str:
        """The name that it gets in the store; one that is too long ends with its own digest."""
        name = re.sub(r"^[-._]+|[-._]+$", "", self.model_id.replace("/", "--").lower())
        if len(name) <= MAX_LENGTH:
            return name
        return f"{name[: MAX_LENGTH - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"

    def version(self, commit: str) -> str:
        """The commit; where patterns choose files, with a digest of the patterns after it."""
        if self.include is None and self.exclude is None:
            return commit
        patterns = canonical_json([self.include, self.exclude])
        return f"{commit}-{hashlib.sha256(patterns).hexdigest()[:8]}"


class HubSource:
    """``hf:org/name@revision``."""

    def detects(self, text: str) -> bool:
        return text.startswith(HUB_PREFIX)

    def fetch(self, text: str, scratch: Path, report: Report) -> Fetched:
        model = HubModel.parse(text)
        hub = _import_hub()
        # Where rich shows a spinner, it holds the line that a bar would need.
        if not sys.stderr.isatty() or hasattr(sys.stderr, "rich_proxied_file"):
            hub.utils.disable_progress_bars()
        report(f"Asking {model.endpoint or hub.constants.ENDPOINT} for {model.model_id}")
        listing = _ask(hub, model)
        if listing is None:
            folder, chosen = _cached(hub, model)
            report(f"Taking {model.model_id} from the cache: the hub is not asked or not reached")
        else:
            chosen = _choose(hub, model, listing.sizes)
            size = sum(listing.sizes[name] for name in chosen.files)
            report(f"Fetching {len(chosen.files)} files of {model.model_id}, {size / 1e6:.1f} MB")
            folder = _download(hub, model, chosen)
            if folder.name != listing.commit:
                raise UserError(f"{model.model_id} changed while it was fetched; try again.")
        if chosen.left_out:
            report(f"Left out of {model.model_id}: {', '.join(chosen.left_out)}")
        # Not the branch: a commit is the same model by whatever name it was asked for.
        origin = {"source": "huggingface", "model_id": model.model_id, "commit": folder.name}
        files = {name: folder / name for name in chosen.files}
        return Fetched(files, model.name, model.version(folder.name), origin=origin)


@dataclass(frozen=True)
class _Listing:
    """What the hub has: the commit, and path to bytes of each file."""

    commit: str
    sizes: Mapping[str, int]


def _ask(hub: ModuleType, model: HubModel) -> _Listing | None:
    """What the hub has, or None where it must not or cannot be asked."""
    try:
        info = hub.HfApi(endpoint=model.endpoint).model_info(
            model.model_id, revision=model.revision, files_metadata=True, timeout=_TIMEOUT
        )
    except Exception as error:
        if refused := _refusal(hub, model, error):
            raise UserError(refused) from error
        return None
    sizes = {file.rfilename: int(file.size or 0) for file in info.siblings or []}
    return _Listing(str(info.sha), sizes)


def _choose(hub: ModuleType, model: HubModel, names: Iterable[str]) -> Selection:
    def matching(items: Any, include: Any, exclude: Any) -> Any:
        return hub.utils.filter_repo_objects(items, allow_patterns=include, ignore_patterns=exclude)

    chosen = select(names, model.include, model.exclude, matching)
    if not chosen.files:
        raise UserError(
            f"{model.model_id} at {model.revision} has no file to import; check include and "
            "exclude, and that weights were uploaded."
        )
    return chosen


def _download(hub: ModuleType, model: HubModel, chosen: Selection) -> Path:
    """Fetch files into the cache; what an attempt got stays there, and the next one goes on."""
    for left in reversed(range(_ATTEMPTS)):
        try:
            return Path(
                hub.snapshot_download(
                    model.model_id,
                    revision=model.revision,
                    endpoint=model.endpoint,
                    allow_patterns=[glob.escape(name) for name in chosen.files],
                )
            )
        except Exception as error:
            refused = _refusal(hub, model, error) or _full_disk(hub, error)
            if refused is None and left:
                continue
            raise UserError(
                refused
                or f"Fetching {model.model_id} from {_endpoint(hub, model)} broke off "
                f"({type(error).__name__}); try again, which goes on where it stopped."
            ) from error
    raise AssertionError("unreachable")


def _cached(hub: ModuleType, model: HubModel) -> tuple[Path, Selection]:
    """What huggingface_hub's cache has of a model: its folder and the files, all of them there."""
    try:
        # No pattern: the folder is wanted, and its files are checked below.
        folder = Path(
            hub.snapshot_download(
                model.model_id, revision=model.revision, local_files_only=True, allow_patterns=[]
            )
        )
    except Exception as error:
        raise UserError(
            f"{model.model_id} at {model.revision} is not in the cache of huggingface_hub, and "
            f"{_endpoint(hub, model)} is not asked (HF_HUB_OFFLINE) or cannot be reached; go "
            "online and try again."
        ) from error
    chosen = _choose(hub, model, _listed_before(hub, model, folder))
    missing = [name for name in chosen.files if not (folder / name).is_file()]
    if missing:
        raise UserError(
            f"Of {model.model_id} at {model.revision} the cache of huggingface_hub has only a part "
            f"({missing[0]} is missing); go online and try again."
        )
    return folder, chosen


def _listed_before(hub: ModuleType, model: HubModel, folder: Path) -> list[str]:
    """The repository's files as they were listed when the cache was filled, else what it holds."""
    try:
        tree = hub.get_cached_repo_tree(model.model_id, revision=folder.name)
        return [file.path for file in tree]
    except Exception:
        # Releases before 2.0 keep no listing, and one may be gone.
        files = (path for path in folder.rglob("*") if path.is_file())
        return [path.relative_to(folder).as_posix() for path in files]


def _refusal(hub: ModuleType, model: HubModel, error: Exception) -> str | None:
    """One sentence for what the hub said, or None where it said nothing."""
    errors = hub.errors
    where = _endpoint(hub, model)
    login = "log in with `hf auth login`, or set HF_TOKEN"
    if isinstance(error, errors.GatedRepoError):
        return (
            f"{model.model_id} is gated: ask for access at {where}/{model.model_id}, then {login}."
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return (
            f"{model.model_id} has no revision {model.revision!r} on {where}; name a branch, a tag "
            "or a commit."
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"There is no model {model.model_id} on {where}, or it is private; check the name, or "
            f"{login}."
        )
    if isinstance(error, errors.HFValidationError):
        return f"{model.model_id!r} is not a name that the hub knows; write hf:org/name@revision."
    if isinstance(error, errors.HfHubHTTPError):
        status = error.response.status_code if error.response is not None else "an error"
        if status in (401, 403):
            return f"{where} answered {status} for {model.model_id}; {login}."
        return f"{where} answered {status} for {model.model_id}; try again later."
    return None


def _full_disk(hub: ModuleType, error: Exception) -> str | None:
    if not isinstance(error, OSError) or error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return None
    return (
        f"The disk that holds {hub.constants.HF_HUB_CACHE} is full; free some space there, or set "
        "HF_HOME to a directory on another disk."
    )


def _endpoint(hub: ModuleType, model: HubModel) -> str:
    return str(model.endpoint or hub.constants.ENDPOINT)


def _check_endpoint(endpoint: str | None) -> str | None:
    if endpoint is None:
        return None
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(f"The endpoint {endpoint!r} is no address of a hub; write https://HOST.")
    if parts.username or parts.password:
        raise UserError(
            "The endpoint of a HuggingFaceModel carries a password, which would stand in the "
            "bento; take it out, and log in with `hf auth login`, or set HF_TOKEN."
        )
    return endpoint.rstrip("/")


def _import_hub() -> ModuleType:
    try:
        import huggingface_hub
        import huggingface_hub.constants
        import huggingface_hub.errors
        import huggingface_hub.utils
    except ImportError as error:
        raise UserError(
            "Fetching from the Hugging Face hub needs huggingface_hub: install "
            "bentofn[huggingface]."
        ) from error
    return huggingface_hub
