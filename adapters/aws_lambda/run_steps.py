"""Runs steps: fills in what earlier ones made, makes the calls, waits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bentofn.adapters.aws_lambda.configuration import of_live
from bentofn.adapters.aws_lambda.desired import Desired
from bentofn.adapters.aws_lambda.ecr import push
from bentofn.adapters.aws_lambda.names import ALIAS, Names
from bentofn.adapters.aws_lambda.session import Session
from bentofn.adapters.aws_lambda.step import PUSH, VERSION, Made, Step
from bentofn.adapters.protocol import Progress
from bentofn.runtime.errors import UserError

EVERY = 2.0
"""Seconds between two looks at something that is waited for."""

EXACT = ("Environment", "Layers", "MemorySize", "Timeout")
"""Members of a configuration that Lambda tells just as they were sent."""

_NOTHING = b'{"api": "", "body": {}}'
"""An event that names no endpoint, should the version take it after all."""

LONGEST = 900.0
"""Seconds: a snapshot takes a minute or two, provisioned environments a few."""


class Runner:
    """Runs the steps of one function.

    Args:
        session: The account.
        names: What the function's parts are called.
        progress: Told what is done.
        wanted: What is deployed, if anything is.
        is_patient: Whether provisioned environments are waited for.
    """

    def __init__(
        self,
        session: Session,
        names: Names,
        progress: Progress,
        wanted: Desired | None = None,
        *,
        is_patient: bool = True,
    ) -> None:
        self._session = session
        self._names = names
        self._progress = progress
        self._wanted = wanted
        self._is_patient = is_patient
        self.made: dict[str, str] = {}
        """What steps' answers said, by the keys under which it is remembered."""

    def run(self, steps: Iterable[Step]) -> None:
        """Run steps in order.

        Raises:
            UserError: One failed; those after it are not run.
        """
        for step in steps:
            if step.says:
                self._progress(step.says)
            if step.operation == PUSH:
                self._push()
            elif step.operation:
                self._call(step)
            else:
                self.made.update(step.arguments)
            self._wait(step)

    def clear(self, steps: Iterable[Step]) -> str:
        """Run steps of which none needs the others.

        Returns:
            A sentence for each that failed; the next apply tries them again.
        """
        failed = []
        for step in steps:
            try:
                self._call(step)
            except UserError as error:
                failed.append(str(error))
        if not failed:
            return ""
        return f"What is not needed any more could not all be removed: {' '.join(failed)}"

    def _call(self, step: Step) -> None:
        arguments = self._filled(step.arguments)
        if step.body is None:
            answer = self._session.ask(step.service, step.operation, step.about, **arguments)
        else:
            with step.body.path.open("rb") as file:
                answer = self._session.ask(
                    step.service, step.operation, step.about, **arguments, Body=file
                )
        if step.expects:
            self._check(step, answer)
        if step.keeps is not None:
            key, member = step.keeps
            self.made[key] = str(answer[member])

    def _check(self, step: Step, answer: Mapping[str, Any]) -> None:
        """Two deployments at once change one ``$LATEST``: neither may publish a mixture."""
        if "Error" in (answer.get("Environment") or {}):
            return  # whoever deploys may not decrypt the variables
        expected, found = self._filled(step.expects), of_live(answer)
        if any(found[key] != expected[key] for key in EXACT if key in expected):
            raise UserError(
                f"{step.about} was changed by somebody else meanwhile; the old version serves on. "
                "Deploy again."
            )

    def _push(self) -> None:
        assert self._wanted is not None
        assert self._wanted.package.image is not None
        push(self._session, self._names, self._wanted.package.image, self._progress)

    def _filled(self, value: Any) -> Any:
        if isinstance(value, Made):
            if value.key == "image":
                self.made["image"] = self._image()
            return self.made[value.key]
        if isinstance(value, Mapping):
            return {key: self._filled(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self._filled(each) for each in value]
        return value

    def _image(self) -> str:
        assert self._wanted is not None
        names = self._names
        found = self._session.ask(
            "ecr",
            "DescribeRepositories",
            names.repository_arn,
            repositoryNames=[names.repository],
        )
        return f"{found['repositories'][0]['repositoryUri']}@sha256:{self._wanted.code_digest}"

    def _wait(self, step: Step) -> None:
        if step.until in ("function", "version"):
            self._wait_for_function(self.made[VERSION] if step.until == "version" else "")
        elif step.until == "provisioned" and self._is_patient:
            self._wait_for_environments()

    def _wait_for_function(self, version: str) -> None:
        """Until the function, or its version with its snapshot, is ready."""
        names = self._names
        about = f"{names.arn}:{version}" if version else names.arn
        which = {"FunctionName": names.function, **({"Qualifier": version} if version else {})}
        waited = 0.0
        while True:
            found = self._session.ask("lambda", "GetFunctionConfiguration", about, **which)
            state, update = found.get("State", "Active"), found.get("LastUpdateStatus")
            if state == "Failed" or (update == "Failed" and not version):
                reason = found.get("StateReason") or found.get("LastUpdateStatusReason") or ""
                raise UserError(
                    f"Lambda could not prepare {about}: {reason.rstrip('.') or 'no reason given'}; "
                    "the old version serves on. Its logs may say more: bentofn logs."
                )
            if state == "Inactive" and version:
                self._wake(version)
            elif state != "Pending" and (update != "InProgress" or version):
                return
            if not waited and version:
                self._progress("Waiting until the version is ready")
            waited = self._pause(waited, about)

    def _wake(self, version: str) -> None:
        """Have Lambda prepare a version again that had no request for long.

        It does so on an invocation, which fails and runs nothing. Source:
        https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html (Inactive) and
        https://docs.aws.amazon.com/lambda/latest/dg/snapstart-activate.html (function states)
        """
        self._session.find(
            "lambda",
            "Invoke",
            f"{self._names.arn}:{version}",
            FunctionName=self._names.function,
            Qualifier=version,
            Payload=_NOTHING,
        )

    def _wait_for_environments(self) -> None:
        names = self._names
        which = {"FunctionName": names.function, "Qualifier": ALIAS}
        waited = 0.0
        while True:
            found = self._session.ask(
                "lambda", "GetProvisionedConcurrencyConfig", names.alias_arn, **which
            )
            if found["Status"] == "FAILED":
                raise UserError(
                    f"Lambda could not keep environments of {names.function} initialised: "
                    f"{found.get('StatusReason', '')}; lower provisionedConcurrency or memorySize."
                )
            if found["Status"] == "READY":
                return
            waited = self._pause(waited, names.alias_arn)

    def _pause(self, waited: float, about: str) -> float:
        if waited >= LONGEST:
            raise UserError(
                f"{about} is not ready after {LONGEST / 60:.0f} minutes; the old version serves "
                "on. Deploy again to go on waiting."
            )
        self._session.wait(EVERY)
        return waited + EVERY
