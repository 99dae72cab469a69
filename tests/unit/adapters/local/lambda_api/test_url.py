"""Function URLs: the events that libraries read, and the answers that functions give."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from datetime import datetime, timezone
from typing import Any

import httpx
import pytest
import pytest_asyncio
from aws_lambda_powertools.utilities.data_classes import LambdaFunctionUrlEvent
from aws_lambda_powertools.utilities.parser.models import LambdaFunctionUrlModel
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from mangum import Mangum
from small_functions import SECRETS, HandlerError, Served, call

from bentofn.adapters.local.lambda_.invocation import InvocationResult
from bentofn.adapters.local.tickets import Refused
from bentofn.adapters.url import Cors, Url


@pytest_asyncio.fixture
async def client(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=served.url, timeout=60) as client:
        yield client


def event(value: Any, _: Any) -> Any:
    return {"statusCode": 200, "body": json.dumps(value)}


async def test_an_event_is_what_a_url_of_lambdas_sends(
    served: Served, client: httpx.AsyncClient
) -> None:
    served.functions.deploy("f", event, Url())
    answer = await client.post(
        "/f/pa2%20th/1?q=query&multi=foo&multi=%2Fbar&empty=",
        json={"foo": "bar"},
        headers=[("Extra", "WeiRd"), ("Extra", "CapS"), ("Cookie", "a=1; b=2")],
    )
    found = answer.json()
    assert found["version"] == "2.0"
    assert found["rawPath"] == "/pa2%20th/1"
    assert found["rawQueryString"] == "q=query&multi=foo&multi=%2Fbar&empty="
    assert found["queryStringParameters"] == {"q": "query", "multi": "foo,/bar", "empty": ""}
    assert found["headers"]["extra"] == "WeiRd,CapS"
    assert found["headers"]["x-forwarded-for"] == "127.0.0.1"
    assert "connection" not in found["headers"]
    assert found["cookies"] == ["a=1", "b=2"]
    assert (found["body"], found["isBase64Encoded"]) == ('{"foo":"bar"}', False)
    context = found["requestContext"]
    assert context["requestId"] == answer.headers["x-amzn-RequestId"]
    assert (context["routeKey"], context["stage"]) == ("$default", "$default")
    assert (context["accountId"], context["domainPrefix"]) == ("anonymous", "f")
    assert context["http"]["method"] == "POST"
    assert context["http"]["userAgent"].startswith("python-httpx")
    moment = datetime.strptime(context["time"], "%d/%b/%Y:%H:%M:%S %z")
    assert abs(moment.timestamp() - context["timeEpoch"] / 1000) < 1.0
    assert found["headers"]["x-amzn-trace-id"] == answer.headers["X-Amzn-Trace-Id"]


async def test_what_a_request_has_not_its_event_has_not(
    served: Served, client: httpx.AsyncClient
) -> None:
    served.functions.deploy("f", event, Url())
    found = (await client.get("/f")).json()
    absent = {"cookies", "queryStringParameters", "body", "pathParameters", "stageVariables"}
    assert not absent & set(found)
    assert (found["rawPath"], found["rawQueryString"]) == ("/", "")


@pytest.mark.parametrize(
    ("kind", "body", "encoded"),
    [
        ("application/json", b"{}", False),
        ("text/plain; charset=utf-8", "gr\u00fc\u00df".encode(), False),
        ("application/problem+json", b"{}", False),
        ("application/x-www-form-urlencoded", b"a=b", True),
        ("multipart/form-data; boundary=x", b"--x--", True),
        ("image/png", b"\x89PNG", True),
        ("text/plain", b"\xff\xfe", True),
    ],
)
async def test_bodies_that_are_no_text_are_in_base64(
    served: Served, client: httpx.AsyncClient, kind: str, body: bytes, encoded: bool
) -> None:
    served.functions.deploy("f", event, Url())
    found = (await client.post("/f/", content=body, headers={"Content-Type": kind})).json()
    assert found["isBase64Encoded"] is encoded
    assert (base64.b64decode(found["body"]) if encoded else found["body"].encode()) == body


async def test_powertools_and_mangum_read_the_events(
    served: Served, client: httpx.AsyncClient
) -> None:
    served.functions.deploy("f", event, Url())
    served.functions.deploy("iam", event, Url(authorizer="aws_iam"))
    plain = await client.post("/f/a?x=1&x=2", json={"n": 1}, headers={"Cookie": "a=1"})
    signed = await client.send(_signed(client.build_request("GET", f"{served.url}/iam/a?x=1")))
    for found in (plain.json(), signed.json()):
        model = LambdaFunctionUrlModel.model_validate(found)
        assert model.rawPath == "/a"
        assert LambdaFunctionUrlEvent(found).path == "/a"
    assert model.requestContext.authorizer is not None

    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append({**scope, "body": (await receive())["body"]})
        headers = [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"content-type", b"x/y")]
        await send({"type": "http.response.start", "status": 201, "headers": headers})
        await send({"type": "http.response.body", "body": b"\xff"})

    def handle(value: Any) -> Any:
        loop = asyncio.new_event_loop()  # as the runtime's main thread has one
        asyncio.set_event_loop(loop)
        try:
            return Mangum(app, lifespan="off")(value, None)
        finally:
            loop.close()

    served.functions.deploy("asgi", lambda value, _: asyncio.to_thread(handle, value), Url())
    cookies = {"Cookie": "a=1"}
    answer = await client.post("/asgi/a%20b?x=1&x=2", json={"n": 1}, headers=cookies)
    assert (answer.status_code, answer.content) == (201, b"\xff")
    assert answer.headers.get_list("Set-Cookie") == ["a=1", "b=2"]
    (scope,) = scopes
    assert (scope["method"], scope["path"]) == ("POST", "/a b")
    assert (scope["query_string"], scope["body"]) == (b"x=1&x=2", b'{"n":1}')
    assert [b"cookie", b"a=1"] in [list(header) for header in scope["headers"]]


@pytest.mark.parametrize(
    ("value", "status", "kind", "body"),
    [
        ({"hello": "world"}, 200, "application/json", b'{"hello":"world"}'),
        ("hello", 200, "application/json", b"hello"),
        (["hello", 3, True], 200, "application/json", b'["hello",3,true]'),
        (3.1, 200, "application/json", b"3.1"),
        (None, 200, "application/json", b"null"),
        ({"statusCode": 418}, 418, "application/json", b""),
        ({"statusCode": "201", "body": "b"}, 201, "application/json", b"b"),
        ({"statusCode": 200, "body": {"a": 1}}, 200, "application/json", b'{"a":1}'),
        (
            {"statusCode": 200, "body": "AP8=", "isBase64Encoded": True,
             "headers": {"content-type": "image/png"}},
            200, "image/png", b"\x00\xff",
        ),
        ({"statusCode": "no"}, 502, "text/plain", b"Internal Server Error"),
        ({"statusCode": 99}, 502, "text/plain", b"Internal Server Error"),
        ({"statusCode": 200, "headers": []}, 200, "application/json", b""),
        ({"statusCode": 200, "headers": {"a": ["b"]}}, 502, "text/plain", b"Internal Server Error"),
        ({"statusCode": 200, "headers": {"a": "b\r\nc: d"}}, 502, "text/plain",
         b"Internal Server Error"),
        ({"statusCode": 200, "body": "!", "isBase64Encoded": True}, 502, "text/plain",
         b"Internal Server Error"),
    ],
)  # fmt: skip
async def test_a_functions_value_becomes_a_response(
    served: Served, client: httpx.AsyncClient, value: Any, status: int, kind: str, body: bytes
) -> None:
    served.functions.deploy("f", lambda *_: value, Url())
    answer = await client.get("/f/")
    assert (answer.status_code, answer.content) == (status, body)
    assert answer.headers["Content-Type"].partition(";")[0] == kind


async def test_headers_and_cookies_are_passed(served: Served, client: httpx.AsyncClient) -> None:
    value = {
        "statusCode": 200,
        "headers": {"X-A": 1, "X-B": True, "Date": "never", "Content-Length": "9999"},
        "cookies": ["a=1; Secure", "b=2"],
        "body": "x",
    }
    served.functions.deploy("f", lambda *_: value, Url())
    answer = await client.get("/f/")
    assert (answer.headers["X-A"], answer.headers["X-B"]) == ("1", "true")
    assert answer.headers.get_list("Set-Cookie") == ["a=1; Secure", "b=2"]
    assert answer.headers["x-amzn-remapped-date"] == "never"
    assert answer.content == b"x"


async def test_failures_are_told_without_their_details(
    served: Served, client: httpx.AsyncClient
) -> None:
    def fail(*_: Any) -> Any:
        raise HandlerError("secret")

    served.functions.deploy("fails", fail, Url())
    served.functions.deploy("full", lambda *_: Refused(429, "no room"), Url())
    served.functions.deploy("gone", lambda *_: Refused(503, "no room"), Url())
    served.functions.deploy("private", event, None)
    for name in ("fails", "gone"):
        answer = await client.get(f"/{name}/")
        assert (answer.status_code, answer.text) == (502, "Internal Server Error")
    answer = await client.get("/full/")
    assert (answer.status_code, answer.json()) == (429, {"Message": "Rate Exceeded."})
    for name in ("private", "nobody"):
        answer = await client.get(f"/{name}/")
        assert (answer.status_code, answer.content) == (403, b'{"Message":null}')
        assert answer.headers["x-amzn-ErrorType"] == "AccessDeniedException"


async def test_a_body_over_six_megabytes_is_413(served: Served, client: httpx.AsyncClient) -> None:
    served.functions.deploy("f", event, Url())
    for size in (6_291_457, 5_000_000):  # the second is over it once it is in base64
        answer = await client.post("/f/", content=b"\xff" * size)
        assert answer.status_code == 413
    assert served.functions.ran == []


async def test_aliases_have_urls(served: Served, client: httpx.AsyncClient) -> None:
    served.functions.deploy("f", event, Url())
    served.functions.deploy("f", event, Url())
    await call(served.client().create_alias, FunctionName="f", Name="live", FunctionVersion="1")
    assert (await client.get("/f:live/")).status_code == 200
    assert served.functions.ran[0][1] == 1
    assert (await client.get("/f:blue/")).status_code == 403


async def test_the_platform_answers_preflights_and_says_who_may_read(
    served: Served, client: httpx.AsyncClient
) -> None:
    cors = Cors(origins=("https://a.example",), methods=("PUT",), max_age=60)
    theirs = {"statusCode": 200, "headers": {"Access-Control-Allow-Origin": "*"}}
    served.functions.deploy("f", lambda *_: theirs, Url(cors, "aws_iam"))
    asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "PUT"}
    answer = await client.options("/f/", headers=asked)
    assert (answer.status_code, served.functions.ran) == (200, [])
    assert answer.headers["Access-Control-Allow-Origin"] == "https://a.example"
    assert answer.headers["Access-Control-Allow-Methods"] == "PUT"
    assert answer.headers["Access-Control-Max-Age"] == "60"
    answer = await client.get("/f/", headers={"Origin": "https://a.example"})
    assert answer.status_code == 403
    assert answer.headers["Access-Control-Allow-Origin"] == "https://a.example"
    request = client.build_request("GET", f"{served.url}/f/", headers={"Origin": "https://b"})
    answer = await client.send(_signed(request))
    assert answer.status_code == 200
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(
    ("payload", "kind", "status", "headers", "body"),
    [
        (
            b'{"statusCode": 201, "headers": {"x": "y"}, "cookies": ["a=1"]}' + b"\0" * 8 + b"hi\0",
            "application/vnd.awslambda.http-integration-response",
            201, {"x": "y", "set-cookie": "a=1"}, b"hi\0",
        ),
        (b"plain", "text/plain", 200, {"content-type": "text/plain"}, b"plain"),
        (
            b'{"statusCode": 418}', "application/json",
            200, {"content-type": "application/octet-stream"}, b'{"statusCode": 418}',
        ),
        (
            b'{"statusCode": 201}', "application/vnd.awslambda.http-integration-response",
            502, {}, b"Internal Server Error",
        ),
    ],
)  # fmt: skip
async def test_a_url_that_streams_passes_on_what_is_written(
    served: Served,
    client: httpx.AsyncClient,
    payload: bytes,
    kind: str,
    status: int,
    headers: dict[str, str],
    body: bytes,
) -> None:
    result = InvocationResult(payload, None, b"", 1.0, 1, None, 1, kind)
    served.functions.deploy("f", lambda *_: result, Url(invoke_mode="RESPONSE_STREAM"))
    answer = await client.get("/f/")
    assert (answer.status_code, answer.content) == (status, body)
    assert headers.items() <= dict(answer.headers).items()


def _signed(
    request: httpx.Request, secret: str = SECRETS["AKIABENTOFN"], service: str = "lambda"
) -> httpx.Request:
    """The request signed by botocore."""
    body = request.read()
    headers = {"Host": request.url.netloc.decode(), "X-Two": "a   b"}
    unsigned = AWSRequest(request.method, str(request.url), headers=headers, data=body)
    credentials = Credentials("AKIABENTOFN", secret)
    SigV4Auth(credentials, service, "us-east-1").add_auth(unsigned)
    request.headers.update(dict(unsigned.headers.items()))
    return request


@pytest.mark.parametrize("path", ["/", "/a%20b/c~d?x=2&x=1&y=%2F", "/\u00fc?\u00fc=1"])
@pytest.mark.parametrize("body", [b"", b'{"a": 1}'])
async def test_what_botocore_signed_is_taken(
    served: Served, client: httpx.AsyncClient, path: str, body: bytes
) -> None:
    served.functions.deploy("f", event, Url(authorizer="aws_iam"))
    request = client.build_request("POST", f"{served.url}/f{path}", content=body)
    answer = await client.send(_signed(request))
    assert answer.status_code == 200
    caller = answer.json()["requestContext"]["authorizer"]["iam"]
    assert caller["accessKey"] == "AKIABENTOFN"


async def test_a_presigned_address_is_taken(served: Served, client: httpx.AsyncClient) -> None:
    served.functions.deploy("f", event, Url(authorizer="aws_iam"))
    unsigned = AWSRequest("GET", f"{served.url}/f/a?x=1")
    credentials = Credentials("AKIABENTOFN", SECRETS["AKIABENTOFN"])
    SigV4QueryAuth(credentials, "lambda", "us-east-1", expires=60).add_auth(unsigned)
    assert (await client.get(unsigned.url)).status_code == 200
    assert (await client.get(unsigned.url + "&y=2")).status_code == 403
    assert (await client.post(unsigned.url)).status_code == 403


async def test_what_was_not_rightly_signed_is_refused(
    served: Served, client: httpx.AsyncClient
) -> None:
    served.functions.deploy("f", event, Url(authorizer="aws_iam"))
    url = f"{served.url}/f/"

    def request(body: bytes = b"{}") -> httpx.Request:
        return client.build_request("POST", url, content=body)

    answer = await client.send(request())
    assert answer.status_code == 403
    assert answer.json()["Message"].startswith("Forbidden. For troubleshooting")
    wrong = [_signed(request(), secret="other"), _signed(request(), service="s3")]
    changed = _signed(request())
    changed.headers["X-Two"] = "c"
    signed = _signed(request(b"{1}"))
    kept = [item for item in signed.headers.items() if item[0] != "content-length"]
    wrong += [changed, httpx.Request("POST", url, headers=kept, content=b"{2}")]
    unknown = _signed(request())
    unknown.headers["Authorization"] = unknown.headers["Authorization"].replace("AKIA", "AKIB")
    old = _signed(request())
    moment = datetime(2020, 1, 1, tzinfo=timezone.utc)
    old.headers["X-Amz-Date"] = f"{moment:%Y%m%dT%H%M%SZ}"
    no_host = _signed(request())
    no_host.headers["Authorization"] = no_host.headers["Authorization"].replace("host;", "")
    smuggled = _signed(request())
    smuggled.headers["X-Amz-Meta"] = "not signed"
    garbage = request()
    garbage.headers["Authorization"] = "AWS4-HMAC-SHA256 Credential=, SignedHeaders=, Signature="
    for each in (*wrong, unknown, old, no_host, smuggled, garbage):
        answer = await client.send(each)
        assert answer.status_code == 403, each.headers
    assert served.functions.ran == []


@pytest.mark.parametrize("qualifier", ["9" * 5000, "%D9%A1", "%FF", "0", "01"])
async def test_a_qualifier_that_nothing_has_is_forbidden(
    served: Served, client: httpx.AsyncClient, qualifier: str
) -> None:
    served.functions.deploy("f", event, Url())
    assert (await client.get(f"/f:{qualifier}/")).status_code == 403
