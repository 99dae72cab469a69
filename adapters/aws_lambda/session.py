"""AWS as the adapter asks it: boto3's own chain of credentials, its standard retries."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

from bentofn.adapters.aws_lambda.errors import code_of, refused, unreachable
from bentofn.runtime.errors import UserError

if TYPE_CHECKING:
    import botocore.session

Wait = Callable[[float], None]
T = TypeVar("T")

PATIENCE = 40
"""Attempts at a call that AWS says will succeed soon, a few seconds apart at the end."""

LONGEST_WAIT = 3.0

AT_ONCE = 8
"""Calls at once: a client of botocore's keeps ten connections, and AWS throttles by the second."""

CONNECTED_WITHIN = 3.0
"""Seconds, of each of the three attempts of botocore's standard mode."""

ANSWERS_WITHIN = 60.0
INVOKED_WITHIN = 910.0
"""Seconds; a function may take 900, and one that is not waited for so long is called once more."""

_READS = ("Get", "List", "Head", "Describe", "Simulate", "Invoke")
"""What the names of calls begin with that leave nothing to be taken up."""

_HIDDEN_FROM = 4
"""Characters of a secret that is looked for in errors: shorter ones are in any sentence."""

_SOON: Mapping[str, tuple[str, ...]] = {
    # A role is known everywhere only some seconds after it was made.
    "InvalidParameterValueException": ("cannot be assumed", "does not have permissions"),
    "ValidationException": ("must allow AWS EventBridge Scheduler to assume",),
    # A function takes one change at a time.
    # A mapping that was deleted is in a new one's way for a while.
    "ResourceConflictException": (
        "in progress", "at this time", "state: Pending", "existing mapping with UUID",
    ),
    "ConflictException": ("being deleted", "DELETING"),
    # A mapping of a queue's takes one change at a time too.
    "ResourceInUseException": ("in use",),
    "OperationAborted": ("conditional operation",),
}  # fmt: skip
"""Errors that pass by themselves: code to what their messages say then."""


def check_boto() -> None:
    """Refuse where boto3 is not installed.

    Raises:
        UserError: It is not.
    """
    if find_spec("boto3") is None:
        raise UserError(
            "Target aws-lambda needs boto3; install it with: pip install 'bentofn[aws]'."
        )


class Session:
    """One account and region.

    Args:
        chain: Where credentials, region and addresses come from; None for boto3's usual chain.
        region: The region where the chain says none.
        wait: Waits so many seconds.
        is_parallel: Whether reads that need nothing of each other are made at once.
    """

    def __init__(
        self,
        chain: botocore.session.Session | None = None,
        region: str | None = None,
        wait: Wait = time.sleep,
        *,
        is_parallel: bool = True,
    ) -> None:
        check_boto()
        import botocore.session

        self._chain = chain or botocore.session.get_session()
        from botocore.exceptions import BotoCoreError

        try:
            self.region: str = self._chain.get_config_variable("region") or region or ""
        except BotoCoreError as error:
            raise unreachable(error, "sts", "GetCallerIdentity") from error
        self.wait = wait
        self._is_parallel = is_parallel
        self._making = threading.Lock()
        self._room = threading.Semaphore(AT_ONCE)
        self._clients: dict[tuple[str, float], Any] = {}
        self._secrets: set[str] = set()
        self._has_written = False
        if not self.region:
            raise UserError("No AWS region is chosen; set AWS_DEFAULT_REGION, or provider.region.")

    @cached_property
    def caller(self) -> str:
        """ARN of whoever asks."""
        return str(self.ask("sts", "GetCallerIdentity", "the credentials")["Arn"])

    @property
    def account(self) -> str:
        """Number of the account."""
        return self.caller.split(":")[4]

    @property
    def partition(self) -> str:
        """``aws``, ``aws-cn``..., which ARNs begin with."""
        return self.caller.split(":")[1]

    def client(self, service: str, operation: str = "") -> Any:
        """A client of boto3's, for a call."""
        within = INVOKED_WITHIN if operation == "Invoke" else ANSWERS_WITHIN
        key = service, within
        with self._making:  # botocore's clients are made for threads, and its sessions are not
            if key not in self._clients:
                self._clients[key] = self._make(service, within)
            return self._clients[key]

    def _make(self, service: str, within: float) -> Any:
        from botocore.config import Config

        config = Config(
            retries={"mode": "standard"},
            user_agent_extra="bentofn",
            connect_timeout=CONNECTED_WITHIN,
            read_timeout=within,
            tcp_keepalive=True,
        )
        try:
            return self._chain.create_client(service, self.region, config=config)
        except ValueError as error:
            raise UserError(f"{error}; correct AWS_ENDPOINT_URL, or the region.") from None

    def together(self, reads: Sequence[Callable[[], T]]) -> list[T]:
        """Make reads at once of which none needs another's answer.

        Args:
            reads: They; they change nothing.

        Returns:
            Their answers, in their order.

        Raises:
            UserError: What the first of them raised that failed.
        """
        if not self._is_parallel or len(reads) < 2:
            return [read() for read in reads]
        answers: list[Future[T]] = [Future() for _ in reads]
        # Threads of a pool would keep a command that is interrupted until AWS has answered.
        threads = [
            threading.Thread(target=_settle, args=each, daemon=True)
            for each in zip(answers, reads, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [answer.result() for answer in answers]

    def hide(self, value: str) -> None:
        """Keep a secret out of the sentences of errors; AWS repeats what it was sent."""
        if len(value) >= _HIDDEN_FROM:
            self._secrets |= {value, json.dumps(value)[1:-1]}

    def find(self, service: str, operation: str, about: str, **arguments: Any) -> Any:
        """Ask for something that may not be there; None where it is not.

        Args:
            service: boto3's name of the service.
            operation: The call, as AWS writes it.
            about: The ARN, or the name, of what it is about.
            arguments: The call's.

        Raises:
            UserError: AWS refused, or was not reached.
        """
        return self._call(service, operation, about, arguments, ABSENT)

    def ask(self, service: str, operation: str, about: str, **arguments: Any) -> Any:
        """Make a call.

        Raises:
            UserError: AWS refused, or was not reached.
        """
        return self._call(service, operation, about, arguments, ())

    def pages(
        self, service: str, operation: str, about: str, member: str, **arguments: Any
    ) -> Iterator[Any]:
        """All entries of a list; none where what they belong to is not there.

        Args:
            service: boto3's name of the service.
            operation: The call, as AWS writes it.
            about: What it is about.
            member: The list's name in the answers.
            arguments: The call's.
        """
        marker: dict[str, Any] = {}
        while True:
            answer = self.find(service, operation, about, **{**arguments, **marker}) or {}
            yield from answer.get(member) or ()
            marker = _next(answer)
            if not marker:
                return

    def _call(
        self,
        service: str,
        operation: str,
        about: str,
        arguments: Mapping[str, Any],
        absent: tuple[str, ...],
    ) -> Any:
        from botocore import xform_name
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        is_write = not operation.startswith(_READS)
        for attempt in range(1, PATIENCE + 1):
            try:
                call = getattr(self.client(service, operation), xform_name(operation))
                with self._room:
                    answer = call(**arguments)
                self._has_written |= is_write
                return answer
            except ClientError as error:
                if code_of(error) in absent:
                    return None
                if not _passes(error) or attempt == PATIENCE:
                    refusal = refused(
                        error, service, operation, about, has_written=self._has_written
                    )
                    raise self._told(refusal) from None
            except (BotoCoreError, ResponseParserError) as error:
                self._has_written |= is_write  # it may have come there
                failure = unreachable(error, service, operation, has_written=self._has_written)
                raise self._told(failure) from None
            self.wait(min(0.25 * 2 ** (attempt - 1), LONGEST_WAIT))
        raise AssertionError("unreachable")

    def _told(self, error: UserError) -> UserError:
        """An error without secrets; nor may it be said to come from one that has them."""
        sentence = str(error)
        for value in sorted(self._secrets, key=len, reverse=True):
            sentence = sentence.replace(value, "***")
        return UserError(sentence)


def _settle(answer: Future[T], read: Callable[[], T]) -> None:
    try:
        answer.set_result(read())
    except BaseException as error:  # whoever waits for the answer is told
        answer.set_exception(error)


ABSENT = (
    "ResourceNotFoundException", "NoSuchEntity", "NoSuchBucket", "NoSuchKey", "404",
    "RepositoryNotFoundException", "ProvisionedConcurrencyConfigNotFoundException",
    "ImageNotFoundException", "SnapStartNotReadyException", "ResourceNotReadyException",
)  # fmt: skip
"""Errors which say that there is nothing of the kind, or not now."""


def _passes(error: Any) -> bool:
    message = str(error.response.get("Error", {}).get("Message", ""))
    return any(words in message for words in _SOON.get(code_of(error), ()))


def _next(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that ask for the next page."""
    if answer.get("NextMarker"):
        return {"Marker": answer["NextMarker"]}
    if answer.get("IsTruncated") and answer.get("Marker"):
        return {"Marker": answer["Marker"]}
    if answer.get("NextContinuationToken"):
        return {"ContinuationToken": answer["NextContinuationToken"]}
    for given in ("NextToken", "nextToken"):
        if answer.get(given):
            return {given: answer[given]}
    return {}
