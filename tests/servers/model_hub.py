"""A small Hugging Face hub on loopback: the endpoints that huggingface_hub really calls.

Source: https://huggingface.co/docs/hub/api, and the requests of huggingface_hub's own client.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

LFS_SUFFIXES = (".safetensors", ".bin", ".onnx", ".gguf", ".h5")


@dataclass
class Repository:
    """A model repository.

    Args:
        commits: Commit to its files.
        refs: Branch or tag to commit.
        token: What a caller must send; None lets everybody in.
        gated: Whether a caller without the token hears that access must be asked for.
    """

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    token: str | None = None
    gated: bool = False

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        """Make a commit the head of a branch."""
        content = json.dumps({path: _sha(data) for path, data in files.items()}, sort_keys=True)
        commit = hashlib.sha1(f"{len(self.commits)} {content}".encode()).hexdigest()
        self.commits[commit] = files
        self.refs[branch] = commit
        return commit


@dataclass
class Hub:
    """The hub's state; tests change it and read what was asked.

    Args:
        repositories: By id.
        requests: ``METHOD path`` of every request.
        ranges: The parts of files that were asked for.
        drops: Path to how often, and after how many bytes, its download breaks off.
        status: What every request is answered with instead, if not 200.
        authorizations: The Authorization headers that were sent to the hub.
        told_cdn: Those that were sent to where large files are.
        url: Its address.
        cdn: Where large files are: another host, as with the real hub.
    """

    repositories: dict[str, Repository] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    drops: dict[str, tuple[int, int]] = field(default_factory=dict)
    status: int = 200
    authorizations: set[str] = field(default_factory=set)
    told_cdn: set[str] = field(default_factory=set)
    url: str = ""
    cdn: str = ""

    def downloads(self) -> list[str]:
        """The files whose content was fetched."""
        return [line for line in self.requests if line.startswith("GET") and "/api/" not in line]


@contextmanager
def running_hub() -> Iterator[Hub]:
    """Serve a hub on a free port of loopback."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    hub.cdn = f"http://localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._route()

    def do_GET(self) -> None:
        self._route()

    def log_message(self, *_: object) -> None:
        pass

    def _route(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        told = self.hub.told_cdn if path.startswith("/cdn/") else self.hub.authorizations
        told.add(self.headers.get("Authorization", ""))
        if self.hub.status != 200:
            return self._answer(self.hub.status, b"{}")
        if path.startswith("/cdn/"):
            return self._blob(path)
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            return self._api(parts[2:])
        if "resolve" in parts:
            return self._resolve(parts)
        return self._error(HTTPStatus.NOT_FOUND, "RepoNotFound")

    def _api(self, parts: list[str]) -> None:
        repository = self._repository("/".join(parts[:2]))
        if repository is None:
            return None
        kind, revision = (parts[2], parts[3]) if len(parts) > 3 else ("revision", "main")
        commit = repository.refs.get(revision, revision)
        if commit not in repository.commits:
            return self._error(HTTPStatus.NOT_FOUND, "RevisionNotFound")
        files = repository.commits[commit]
        if kind == "tree":
            tree = [_entry(path, data) for path, data in files.items()]
            return self._answer(200, json.dumps(tree).encode())
        model_id = "/".join(parts[:2])
        siblings = [{"rfilename": path, "size": len(data)} for path, data in files.items()]
        info = {"id": model_id, "modelId": model_id, "sha": commit, "siblings": siblings}
        return self._answer(200, json.dumps({**info, "tags": [], "private": False}).encode())

    def _resolve(self, parts: list[str]) -> None:
        at = parts.index("resolve")
        repository = self._repository("/".join(parts[:at]))
        if repository is None:
            return None
        revision, path = parts[at + 1], "/".join(parts[at + 2 :])
        commit = repository.refs.get(revision, revision)
        data = repository.commits.get(commit, {}).get(path)
        if data is None:
            return self._error(HTTPStatus.NOT_FOUND, "EntryNotFound", {"X-Repo-Commit": commit})
        headers = {"X-Repo-Commit": commit, "ETag": f'"{_git_id(data)}"'}
        if not path.endswith(LFS_SUFFIXES):
            return self._content(path, data, headers)
        linked = {"X-Linked-Size": str(len(data)), "X-Linked-Etag": f'"{_sha(data)}"'}
        location = {"Location": f"{self.hub.cdn}/cdn/{_sha(data)}/{path}"}
        return self._answer(302, b"", {**headers, **linked, **location})

    def _blob(self, path: str) -> None:
        _, _, digest, name = path.split("/", 3)
        for repository in self.hub.repositories.values():
            for files in repository.commits.values():
                for data in files.values():
                    if _sha(data) == digest:
                        return self._content(name, data, {"ETag": f'"{digest}"'})
        return self._error(HTTPStatus.NOT_FOUND, "EntryNotFound")

    def _content(self, path: str, data: bytes, headers: dict[str, str]) -> None:
        status, start = 200, 0
        asked = self.headers.get("Range")
        if asked:
            self.hub.ranges.append(f"{path} {asked}")
            start = int(asked.removeprefix("bytes=").partition("-")[0])
            status = 206
            headers = {**headers, "Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        self._answer(status, data[start:], headers, self._drop(path))

    def _drop(self, path: str) -> int | None:
        times, length = self.hub.drops.get(path, (0, 0))
        if self.command != "GET" or not times:
            return None
        self.hub.drops[path] = (times - 1, length)
        return length

    def _repository(self, model_id: str) -> Repository | None:
        repository = self.hub.repositories.get(model_id)
        allowed = repository is not None and (
            repository.token is None
            or self.headers.get("Authorization") == f"Bearer {repository.token}"
        )
        if allowed:
            return repository
        if repository is not None and repository.gated:
            self._error(HTTPStatus.FORBIDDEN, "GatedRepo")
        else:
            # The hub does not say whether a private repository exists.
            self._error(HTTPStatus.UNAUTHORIZED, "RepoNotFound")
        return None

    def _error(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
        self._answer(status, b"{}", {"X-Error-Code": code, **(headers or {})})

    def _answer(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str] | None = None,
        cut: int | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.close_connection = True


def _entry(path: str, data: bytes) -> dict[str, object]:
    entry: dict[str, object] = {
        "type": "file",
        "path": path,
        "size": len(data),
        "oid": _git_id(data),
    }
    if path.endswith(LFS_SUFFIXES):
        entry["lfs"] = {"oid": _sha(data), "size": len(data), "pointerSize": 130}
    return entry


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _git_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
