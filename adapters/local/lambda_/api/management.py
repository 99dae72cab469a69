"""The calls that tools make around an invocation: functions, versions, aliases, rules, limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

from bentofn.adapters.event_rules import LONGEST_AGE, MOST_RETRIES, SHORTEST_AGE
from bentofn.adapters.local.lambda_.api import destinations, documents
from bentofn.adapters.local.lambda_.api.aliases import Alias, alias_of, expect_revision
from bentofn.adapters.local.lambda_.api.errors import (
    LambdaError,
    function_not_found,
    invalid,
    not_found,
    section,
    too_little_left,
    validation,
)
from bentofn.adapters.local.lambda_.api.functions import Functions
from bentofn.adapters.local.lambda_.api.invoker import Invoker
from bentofn.adapters.local.lambda_.api.names import LATEST, Name, arn, parse
from bentofn.adapters.local.lambda_.api.registry import Registry
from bentofn.adapters.local.state import Deployment

Document = dict[str, Any]

_UNQUALIFIED = (
    "This operation is permitted on Lambda functions only. Aliases and versions do not support "
    "this operation. Please specify either a function name or an unqualified function ARN."
)


class Management:
    """Answers those calls with the documents of the API.

    Args:
        functions: The platform's.
        invoker: Finds functions by name.
        registry: What is set for them.
        address: Where the platform answers, without a slash at the end.
    """

    def __init__(
        self, functions: Functions, invoker: Invoker, registry: Registry, address: str
    ) -> None:
        self._functions = functions
        self._invoker = invoker
        self._registry = registry
        self._address = address

    async def list_functions(self) -> Document:
        found = [self._functions.live(name) for name in self._functions.names()]
        return {"Functions": [documents.configuration(each) for each in found if each]}

    async def get_function(self, name: Name) -> Document:
        deployment = await self._version(name)
        reserved = self._registry.concurrency.reserved(name.function)
        return documents.function(deployment, name.qualifier, reserved)

    async def get_configuration(self, name: Name) -> Document:
        return documents.configuration(await self._version(name), name.qualifier)

    async def get_url(self, name: Name) -> Document:
        address = f"{self._address}/{name.function}"
        document = documents.url_config(self._invoker.find(name), address)
        if document is None:
            raise not_found("The resource you requested does not exist.")
        return document

    async def list_versions(self, name: Name) -> Document:
        live = self._invoker.find(name)
        versions = await self._functions.versions(name.function)
        published = [documents.configuration(each, str(each.version)) for each in versions]
        return {"Versions": [documents.configuration(live, LATEST), *published]}

    async def publish_version(self, name: Name, asked: Mapping[str, Any]) -> Document:
        """Every deployment is a version already; like Lambda's, an unchanged one gets no other."""
        live = self._invoker.find(Name(name.function))
        digest = documents.configuration(live)["CodeSha256"]
        if asked.get("CodeSha256") not in (None, digest):
            raise invalid(
                f"CodeSHA256 ({asked['CodeSha256']}) is different from current CodeSHA256 in "
                f"$LATEST ({digest}). Please try again with the CodeSHA256 in $LATEST."
            )
        return documents.configuration(live, str(live.version))

    async def list_aliases(self, name: Name, version: str | None) -> Document:
        self._invoker.find(Name(name.function))
        found = self._registry.aliases(name.function)
        return {
            "Aliases": [
                alias.to_json(name.function)
                for alias in found
                if version is None or version in alias.versions
            ]
        }

    async def get_alias(self, name: Name, alias: str) -> Document:
        return self._alias(name, alias, "Cannot find alias arn: ").to_json(name.function)

    async def create_alias(self, name: Name, asked: Mapping[str, Any]) -> Document:
        made = alias_of(str(asked.get("Name", "")), asked)
        self._check_versions(name.function, made)
        if self._registry.alias(name.function, made.name) is not None:
            message = f"Alias already exists: {arn(name.function, made.name)}"
            raise LambdaError(409, "ResourceConflictException", message)
        await self._registry.set_alias(name.function, made.name, made)
        return made.to_json(name.function)

    async def update_alias(self, name: Name, alias: str, asked: Mapping[str, Any]) -> Document:
        former = self._alias(name, alias, "Alias not found: ")
        expect_revision(former, asked.get("RevisionId"))
        made = alias_of(alias, asked, former)
        self._check_versions(name.function, made)
        await self._registry.set_alias(name.function, alias, made)
        return made.to_json(name.function)

    async def delete_alias(self, name: Name, alias: str) -> None:
        await self._registry.set_alias(name.function, alias, None)

    async def get_concurrency(self, name: Name) -> Document:
        self._invoker.find(name)
        reserved = self._registry.concurrency.reserved(name.function)
        return {} if reserved is None else {"ReservedConcurrentExecutions": reserved}

    async def put_concurrency(self, name: Name, asked: Mapping[str, Any]) -> Document:
        amount = asked.get("ReservedConcurrentExecutions")
        if name.qualifier is not None:
            raise invalid(_UNQUALIFIED)
        self._invoker.find(name)
        if not _is_whole(amount) or amount < 0:
            constraint = "Member must have value greater than or equal to 0"
            raise validation(amount, "reservedConcurrentExecutions", constraint)
        if not await self._registry.set_reserved(name.function, amount):
            raise invalid(too_little_left(self._registry.concurrency.least))
        return {"ReservedConcurrentExecutions": amount}

    async def delete_concurrency(self, name: Name) -> None:
        self._invoker.find(name)
        await self._registry.set_reserved(name.function, None)

    async def get_event_config(self, name: Name) -> Document:
        return self._event_config(name)

    async def list_event_configs(self, name: Name) -> Document:
        self._find_or(name)
        found = self._registry.event_configs(name.function)
        return {"FunctionEventInvokeConfigs": [found[each] for each in sorted(found)]}

    async def put_event_config(self, name: Name, asked: Mapping[str, Any]) -> Document:
        self._find_or(name)
        return await self._keep_event_config(name, {}, asked)

    async def update_event_config(self, name: Name, asked: Mapping[str, Any]) -> Document:
        self._find_or(name)
        return await self._keep_event_config(name, self._event_config(name), asked)

    async def delete_event_config(self, name: Name) -> None:
        self._event_config(name)
        await self._registry.set_event_config(name.function, name.qualifier or LATEST, None)

    async def account_settings(self) -> Document:
        concurrency = self._registry.concurrency
        return {
            "AccountLimit": {
                "TotalCodeSize": 80530636800,
                "CodeSizeUnzipped": 262144000,
                "CodeSizeZipped": 52428800,
                "ConcurrentExecutions": concurrency.account,
                "UnreservedConcurrentExecutions": concurrency.unreserved,
            },
            "AccountUsage": {"TotalCodeSize": 0, "FunctionCount": len(self._functions.names())},
        }

    async def _version(self, name: Name) -> Deployment:
        """The deployment that a name stands for; an alias's is its first version's."""
        live = self._invoker.find(name)
        qualifier = name.qualifier or LATEST
        alias = self._registry.alias(name.function, qualifier)
        wanted = alias.version if alias is not None else qualifier
        if wanted in (LATEST, str(live.version)):
            return live
        for each in await self._functions.versions(name.function):
            if str(each.version) == wanted:
                return each
        raise function_not_found(name.arn)

    def _alias(self, name: Name, alias: str, complaint: str) -> Alias:
        found = self._registry.alias(name.function, alias)
        if found is None:
            raise not_found(f"{complaint}{arn(name.function, alias)}")
        return found

    def _check_versions(self, function: str, alias: Alias) -> None:
        for version in alias.versions:
            self._invoker.find(Name(function, version))

    def _check_destination(self, function: str, destination: object) -> None:
        if destination is None:
            return
        destination = str(destination)
        destinations.check(destination)
        if destinations.function_of(destination) is None:
            return
        target = parse(destination)
        if target.function == function:
            raise invalid("You can't specify the function as a destination for itself.")
        try:
            self._invoker.find(target)
        except LambdaError as error:
            raise invalid(f"The destination ARN {destination} is invalid.") from error

    def _find_or(self, name: Name) -> None:
        try:
            self._invoker.find(name)
        except LambdaError as error:
            raise not_found("The function doesn't exist.") from error

    def _event_config(self, name: Name) -> Document:
        qualifier = name.qualifier or LATEST
        found = self._registry.event_configs(name.function).get(qualifier)
        if found is None:
            whose = arn(name.function, qualifier)
            raise not_found(f"The function {whose} doesn't have an EventInvokeConfig")
        return found

    async def _keep_event_config(
        self, name: Name, former: Document, asked: Mapping[str, Any]
    ) -> Document:
        changes = _checked(asked)
        for each in changes.get("DestinationConfig", {}).values():
            self._check_destination(name.function, each.get("Destination"))
        document = documents.event_config(name, {**former, **changes})
        qualifier = name.qualifier or LATEST
        await self._registry.set_event_config(name.function, qualifier, document)
        return document


def _checked(asked: Mapping[str, Any]) -> Document:
    """The rules that a call sets.

    Raises:
        LambdaError: It sets none, or they do not do.
    """
    document: Document = {}
    retries, age = asked.get("MaximumRetryAttempts"), asked.get("MaximumEventAgeInSeconds")
    if retries is not None:
        _within(retries, "maximumRetryAttempts", 0, MOST_RETRIES)
        document["MaximumRetryAttempts"] = retries
    if age is not None:
        _within(age, "maximumEventAgeInSeconds", SHORTEST_AGE, LONGEST_AGE)
        document["MaximumEventAgeInSeconds"] = age
    given = asked.get("DestinationConfig")
    if given is not None:
        kinds = section(asked, "DestinationConfig")
        document["DestinationConfig"] = {
            kind: section(kinds, kind) for kind in ("OnSuccess", "OnFailure")
        }
    if not document:
        raise invalid("You must specify at least one of error handling or destination setting.")
    return document


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _within(value: object, name: str, least: int, most: int) -> None:
    if not _is_whole(value) or value < least:
        constraint = f"Member must have value greater than or equal to {least}"
        raise validation(value, name, constraint)
    if value > most:
        constraint = f"Member must have value less than or equal to {most}"
        raise validation(value, name, constraint)
