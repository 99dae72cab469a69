"""SnapStart, provisioned concurrency and what is fetched, of packages that are not built here."""

from __future__ import annotations

import hashlib
import io
import zipfile
from datetime import datetime
from pathlib import Path

import pytest
from aws_cloud import ACCOUNT, REGION, Aws
from moto.backends import get_backend

from bentofn.adapters.aws_lambda.apply import apply
from bentofn.adapters.aws_lambda.desired import desire
from bentofn.adapters.aws_lambda.destroy import destroy
from bentofn.adapters.aws_lambda.find import find, names_of
from bentofn.adapters.aws_lambda.planning import Intent
from bentofn.adapters.aws_lambda.reading import read_live
from bentofn.adapters.aws_lambda.session import Session
from bentofn.adapters.aws_words import AwsSettings
from bentofn.adapters.protocol import Deployed, FunctionSettings, FunctionSpec
from bentofn.packager.lambda_.parts import LambdaPackage, Part
from bentofn.runtime.errors import UserError


def part(folder: Path, name: str, content: str) -> Part:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(zipfile.ZipInfo("file"), content)
    path = folder / f"{name}-{content}".replace("/", "_")
    path.write_bytes(made.getvalue())
    digest = f"sha256:{hashlib.sha256(made.getvalue()).hexdigest()}"
    return Part(name, digest, len(made.getvalue()), len(content), path)


class Deploys:
    """Deploys stand-in packages of Python 3.12."""

    def __init__(self, aws: Aws, folder: Path) -> None:
        self.aws, self.folder = aws, folder
        self.waits: list[float] = []

    def __call__(self, code: str, fetched: str = "", **settings: object) -> Deployed:
        files = (part(self.folder, "lib/big.so", fetched),) if fetched else ()
        own = part(self.folder, "function", code)
        layer = part(self.folder, "environment", "packages")
        package = LambdaPackage(
            "Zip", "m.handler", "python3.12", "x86_64", (own, layer), fetched=files
        )
        spec = FunctionSpec("greeter", f"greeter:{code}", FunctionSettings(**settings))  # type: ignore[arg-type]
        session = Session(self.aws.chain(), None, self.waits.append)
        names = names_of(session, spec)
        bento = (spec.bento, f"sha256:{hashlib.sha256(code.encode()).hexdigest()}")
        wanted = desire(spec, names, bento, package, {})
        live = read_live(session, names, kind="Zip")
        return apply(Intent(session, wanted, live), lambda _: None, wait=True)


@pytest.fixture
def deploys(aws: Aws, tmp_path: Path) -> Deploys:
    return Deploys(aws, tmp_path)


def test_snapshots_are_asked_for_where_nothing_is_against_them(deploys: Deploys, aws: Aws) -> None:
    assert deploys("1").snapshot == "snapstart"
    assert aws.of("lambda.CreateFunction")[0]["SnapStart"] == {"ApplyOn": "PublishedVersions"}
    aws.calls.clear()
    assert not deploys("1").changed
    assert aws.writes == []
    assert deploys("1", snapshot="none").snapshot == "none"
    assert aws.of("lambda.UpdateFunctionConfiguration")[0]["SnapStart"] == {"ApplyOn": "None"}


def test_the_alias_is_moved_when_the_snapshot_is_ready(deploys: Deploys, aws: Aws) -> None:
    deploys("1")
    aws.calls.clear()
    aws.pending = 3
    deploys("2")
    last = aws.names.index("lambda.UpdateAlias")
    looks = [each for each in aws.names[:last] if each == "lambda.GetFunctionConfiguration"]
    assert len(looks) >= 4
    assert len(deploys.waits) == 3


def test_a_snapshot_that_fails_leaves_the_old_version(deploys: Deploys, aws: Aws) -> None:
    deploys("1")
    aws.calls.clear()
    aws.failed = "Your hook raised an error."
    with pytest.raises(UserError, match=r"Your hook raised an error; the old version serves on"):
        deploys("2")
    assert "lambda.UpdateAlias" not in aws.names
    aws.calls.clear()
    with pytest.raises(UserError, match="Your hook raised"):
        deploys("2")
    # Lambda would not publish the same code again beside it.
    assert aws.of("lambda.DeleteFunction")[0]["Qualifier"] == "2"
    aws.failed = ""
    assert deploys("2").changed


def test_few_versions_with_snapshots_are_kept(deploys: Deploys, aws: Aws) -> None:
    for code in "12345":
        deploys(code)
    gone = [each["Qualifier"] for each in aws.of("lambda.DeleteFunction")]
    assert gone == ["1", "2"]


def test_what_is_fetched_stays_as_long_as_a_version_fetches_it(deploys: Deploys, aws: Aws) -> None:
    deploys("1", fetched="weights")
    variables = aws.of("lambda.CreateFunction")[0]["Environment"]["Variables"]
    bucket = f"bentofn-{ACCOUNT}-{REGION}"
    place = variables["BENTOFN_FETCH"].removeprefix(f"s3://{bucket}/")
    stored = [each["Key"] for each in aws.of("s3.PutObject")]
    assert [key for key in stored if key.startswith(place)]
    assert not [each for each in aws.of("s3.DeleteObject") if each["Key"].startswith(place)]
    policy = aws.of("iam.PutRolePolicy")[0]["PolicyDocument"]
    assert '"s3:GetObject"' in policy
    aws.calls.clear()
    deploys("2", fetched="weights")
    assert len(aws.of("s3.PutObject")) == 1
    for code in "345":
        deploys(code, fetched="others")
    assert not [each for each in aws.of("s3.DeleteObject") if each["Key"].startswith(place)]
    for each in get_backend("s3")[ACCOUNT]["aws"].buckets[bucket].keys.values():
        each.last_modified = datetime(2020, 1, 1)  # it may be no other deployment's now
    deploys("6", fetched="others")
    assert [each for each in aws.of("s3.DeleteObject") if each["Key"].startswith(place)]


def test_provisioned_environments_are_waited_for_and_exclude_snapshots(
    deploys: Deploys, aws: Aws
) -> None:
    assert deploys("1", min_instances=2).snapshot == "none"
    sent = aws.of("lambda.PutProvisionedConcurrencyConfig")
    assert [(each["Qualifier"], each["ProvisionedConcurrentExecutions"]) for each in sent] == [
        ("live", 2)
    ]
    aws.calls.clear()
    assert not deploys("1", min_instances=2).changed
    deploys("1")
    assert "lambda.DeleteProvisionedConcurrencyConfig" in aws.names


def test_what_is_fetched_from_the_users_bucket_goes_with_the_function(
    deploys: Deploys, aws: Aws
) -> None:
    client = aws.chain().create_client("s3", REGION)
    client.create_bucket(Bucket="mine", CreateBucketConfiguration={"LocationConstraint": REGION})
    deploys("1", fetched="weights", aws=AwsSettings(bucket="mine"))
    assert client.list_objects_v2(Bucket="mine")["KeyCount"] == 1
    session = Session(aws.chain(), None, lambda _: None)
    destroy(session, find(session, "greeter"))
    assert client.list_objects_v2(Bucket="mine")["KeyCount"] == 0
