"""The exceptions of a service (BentoML's names and status codes) and of a user's mistake."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, ClassVar


class BentoMLException(Exception):  # noqa: N818 - the name is BentoML's and services import it
    """Base of the errors that a service turns into an HTTP status.

    A subclass of a user's own may set ``error_code`` to any 4xx or 5xx status.

    Source: https://docs.bentoml.com/en/latest/build-with-bentoml/error-handling.html
    """

    error_code: HTTPStatus = HTTPStatus.INTERNAL_SERVER_ERROR
    error_mapping: ClassVar[dict[HTTPStatus, type[BentoMLException]]] = {}
    """Status to the class that stands for it: the first that was declared."""

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if "error_code" in vars(cls):
            cls.error_mapping.setdefault(cls.error_code, cls)

    def __init__(self, message: str = "", *, error_code: HTTPStatus | int | None = None) -> None:
        super().__init__(message)
        self.message = message
        if error_code is not None:
            self.error_code = HTTPStatus(error_code)

    def __str__(self) -> str:
        return self.message


class InvalidArgument(BentoMLException):
    """The caller's argument is wrong: 400."""

    error_code = HTTPStatus.BAD_REQUEST


class BadInput(InvalidArgument):
    """The caller's request cannot be understood: 400."""


class NotFound(BentoMLException):
    """Something that the caller named does not exist: 404."""

    error_code = HTTPStatus.NOT_FOUND


class UnprocessableEntity(BentoMLException):
    """The request is well formed but cannot be acted on: 422."""

    error_code = HTTPStatus.UNPROCESSABLE_ENTITY


class ServiceUnavailable(BentoMLException):
    """The service cannot answer now, or not in time: 503."""

    error_code = HTTPStatus.SERVICE_UNAVAILABLE


class InternalServerError(BentoMLException):
    """The service broke its own contract: 500."""


class RemoteException(BentoMLException):
    """Another service failed.

    Args:
        message: What it said.
        payload: Its own error, if it is known.
    """

    def __init__(self, message: str, payload: BentoMLException | None = None) -> None:
        super().__init__(message)
        self.payload = payload


class APIDeprecated(BentoMLException):
    """What is called is not there any more."""


class BentoMLConfigException(BentoMLException):
    """A configuration is wrong or missing."""


class MissingDependencyException(BentoMLException):
    """A package that is needed is not installed."""


class CLIException(BentoMLException):
    """A command failed."""


class CloudRESTApiClientError(BentoMLException):
    """BentoCloud failed; here so that code which expects it can name it."""


class ImportServiceError(BentoMLException):
    """A service cannot be imported."""


class StateException(Exception):  # noqa: N818
    """Something is asked for at the wrong time."""

    error_code: HTTPStatus = HTTPStatus.BAD_REQUEST


class UnservableException(StateException):
    """A service cannot be served."""


class ServerStateException(StateException):
    """A server is asked that does not run."""


class UserError(Exception):
    """A mistake that the user can mend: one sentence that says what, where and what to do.

    The command line prints it without a traceback and exits with status 1.
    """
