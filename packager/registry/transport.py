"""Requests to one registry: authenticated, retried within bounds, and told in sentences."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from email.message import Message

from bentofn.packager.registry.connection import Dropped, Redirects, Response, dropping
from bentofn.packager.registry.credentials import Credentials
from bentofn.packager.registry.reference import LOOPBACK, Reference
from bentofn.runtime.errors import UserError

TIMEOUT = 60.0
"""Seconds without a byte after which a connection counts as dropped."""

ATTEMPTS = 5
FIRST_WAIT = 0.5
"""Seconds before the second attempt; each further wait is twice as long."""

LONGEST_WAIT = 60.0
"""Seconds that a registry may ask to be waited for with ``Retry-After``."""

MAX_TOKEN = 1 << 20

_PASSING = {408, 429, 500, 502, 503, 504}
_PARAMETER = re.compile(r'([a-zA-Z]+)="([^"]*)"')

Body = Callable[[], Iterable[bytes]]


class Transport:
    """Sends requests for one repository of one registry.

    Args:
        reference: The repository.
        credentials: What Docker's configuration holds for it.
        actions: ``pull``, or ``pull,push``.
        insecure: Whether plain HTTP is used for a registry that is not on this machine.
        wait: Waits so many seconds between two attempts.
        also_pull: Further repositories of the registry that are read from.
    """

    def __init__(
        self,
        reference: Reference,
        credentials: Credentials | None,
        actions: str,
        *,
        insecure: bool = False,
        wait: Callable[[float], None] = time.sleep,
        also_pull: Iterable[str] = (),
    ) -> None:
        self._reference = reference
        self._credentials = credentials
        self._actions = actions
        scopes = [f"{reference.repository}:{actions}", *(f"{each}:pull" for each in also_pull)]
        self._scopes = [f"repository:{scope}" for scope in scopes]
        self._wait = wait
        self._insecure = insecure
        plain = insecure or reference.is_loopback
        self._base = f"{'http' if plain else 'https'}://{reference.host}"
        self._authorization = ""
        # A proxy for the outside has no business with a registry on this machine.
        proxies = [urllib.request.ProxyHandler({})] if reference.is_loopback else []
        self._opener = urllib.request.build_opener(Redirects, *proxies)

    def url(self, path: str) -> str:
        """The address of a path below the repository, such as ``blobs/sha256:...``."""
        return f"{self._base}/v2/{self._reference.repository}/{path}"

    @contextmanager
    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        good: Iterable[int] = (200,),
    ) -> Iterator[Response]:
        """Send a request, again where that may help, and give the answer.

        Args:
            method: HTTP's.
            url: Of :meth:`url`, or one that the registry gave.
            headers: Further headers.
            body: Makes the body, anew for each attempt; ``headers`` has its length.
            good: The statuses to give back; any other is a failure.

        Raises:
            UserError: The registry refuses, or does not answer well in so many attempts.
        """
        response = self._attempts(method, url, headers or {}, body, set(good))
        try:
            yield response
        finally:
            response.raw.close()

    def retrying(self, attempt: int, why: str, after: float | None = None) -> None:
        """Wait before another attempt, or give up.

        Raises:
            UserError: There were enough attempts.
        """
        if attempt >= ATTEMPTS:
            raise UserError(
                f"{self._reference.registry} failed {ATTEMPTS} times ({why}); try again later."
            )
        self._wait(FIRST_WAIT * 2 ** (attempt - 1) if after is None else after)

    def _attempts(
        self, method: str, url: str, headers: Mapping[str, str], body: Body | None, good: set[int]
    ) -> Response:
        challenged = False
        attempt = 0
        while True:
            attempt += 1
            try:
                response = self._send(method, url, headers, body)
            except Dropped as error:
                self.retrying(attempt, str(error))
                continue
            if response.status in good:
                return response
            response.raw.close()
            if response.status == 401 and not challenged and self._owns(url):
                challenged = True
                attempt -= 1
                self._authenticate(response.headers.get_all("WWW-Authenticate") or [])
            elif response.status in _PASSING:
                after = _retry_after(response.headers)
                self.retrying(attempt, f"status {response.status}", after)
            else:
                raise self._refusal(response.status)

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], body: Body | None
    ) -> Response:
        self._check_scheme(url)
        data = body() if body else None
        request = urllib.request.Request(url, data, dict(headers), method=method)
        if self._authorization and self._owns(url):
            # Not sent on to where the registry redirects, which is often another host's storage.
            request.add_unredirected_header("Authorization", self._authorization)
        return self._open(request)

    def _open(self, request: urllib.request.Request) -> Response:
        with dropping(self._reference.registry):
            try:
                raw = self._opener.open(request, timeout=TIMEOUT)
            except urllib.error.HTTPError as error:
                return Response(error.code, error.headers, request.full_url, error)
        return Response(raw.status, raw.headers, raw.url, raw)

    def _owns(self, url: str) -> bool:
        return url.startswith(f"{self._base}/")

    def _check_scheme(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        local = self._reference.is_loopback and parts.hostname in LOOPBACK
        if parts.scheme != "https" and not (parts.scheme == "http" and (self._insecure or local)):
            raise UserError(
                f"{self._reference.registry} wants to go on without HTTPS, which is refused; "
                "use --insecure if you trust the network."
            )

    def _authenticate(self, challenges: list[str]) -> None:
        found = [challenge.partition(" ") for challenge in challenges]
        kinds = {kind.lower(): dict(_PARAMETER.findall(rest)) for kind, _, rest in found}
        if "bearer" in kinds:
            self._authorization = f"Bearer {self._token(kinds['bearer'])}"
        elif "basic" in kinds and self._credentials and not self._credentials.identity_token:
            self._authorization = self._credentials.basic
        else:
            raise self._refusal(401)

    def _token(self, challenge: Mapping[str, str]) -> str:
        """Fetch a token. https://distribution.github.io/distribution/spec/auth/token/"""
        realm = challenge.get("realm", "")
        self._check_scheme(realm)
        query = [("scope", scope) for scope in self._scopes]
        if "service" in challenge:
            query.append(("service", challenge["service"]))
        known = self._credentials
        if known and known.identity_token:
            # A form has one scope of several words, a query several scopes of one.
            form = {
                **dict(query),
                "scope": " ".join(self._scopes),
                "grant_type": "refresh_token",
                "refresh_token": known.identity_token,
                "client_id": "bentofn",
            }
            data = urllib.parse.urlencode(form).encode()
            request = urllib.request.Request(realm, data=data)
        else:
            joint = "&" if "?" in realm else "?"
            request = urllib.request.Request(f"{realm}{joint}{urllib.parse.urlencode(query)}")
            if known:
                request.add_unredirected_header("Authorization", known.basic)
        return self._read_token(request)

    def _read_token(self, request: urllib.request.Request) -> str:
        attempt = 0
        while True:
            attempt += 1
            try:
                response = self._open(request)
                content = response.read(MAX_TOKEN)
            except Dropped as error:
                self.retrying(attempt, str(error))
                continue
            response.raw.close()
            if response.status == 200:
                break
            if response.status not in _PASSING:
                raise self._refusal(401)
            after = _retry_after(response.headers)
            self.retrying(attempt, f"status {response.status} for a token", after)
        try:
            answer = json.loads(content)
            token = str(answer.get("token") or answer["access_token"])
        except (ValueError, KeyError, AttributeError) as error:
            raise self._refusal(401) from error
        if not token.isascii() or not token.isprintable():
            raise self._refusal(401)
        return token

    def _refusal(self, status: int) -> UserError:
        registry = self._reference.registry
        if status == 401:
            known = "does not take the credentials" if self._credentials else "wants credentials"
            return UserError(
                f"{registry} {known} for {self._reference.repository}; "
                f"log in with: docker login {registry}."
            )
        if status == 403:
            return UserError(
                f"{registry} forbids to {self._actions.rpartition(',')[2]} "
                f"{self._reference.repository}; "
                "ask its owner for the permission, or log in as somebody who has it."
            )
        if status == 404:
            return UserError(
                f"There is no {self._reference} that {registry} would show; "
                "check the name and the tag, and that you are logged in."
            )
        return UserError(
            f"{registry} refused with status {status}; check that {registry} is an OCI registry "
            "and takes OCI artifacts."
        )


def _retry_after(headers: Message) -> float | None:
    """Seconds to wait; a date, which the header may also be, is not read."""
    value = headers.get("Retry-After", "")
    return min(float(value), LONGEST_WAIT) if value.isdecimal() else None
