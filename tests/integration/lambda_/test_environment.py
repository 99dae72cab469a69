"""The unmodified awslambdaric in our environments: what a handler sees, and how its life goes."""

from __future__ import annotations

import asyncio
import json
import os
import re
from pathlib import Path
from typing import Any


def runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def fields(pid: int) -> list[str]:
    """Those of proc_pid_stat(5) from the state on."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def session(leader: int) -> list[int]:
    pids = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    return [pid for pid in pids if fields(pid)[3:4] == [str(leader)]]


ECHO = "def handler(event, context):\n    return event\n"


async def test_a_handler_gets_its_event_and_its_context(make: Any) -> None:
    greet = await make(
        """
        import os

        def handler(event, context):
            return {
                "event": event,
                "id": context.aws_request_id,
                "arn": context.invoked_function_arn,
                "memory": context.memory_limit_in_mb,
                "left": context.get_remaining_time_in_millis(),
                "custom": context.client_context.custom,
                "identity": context.identity.cognito_identity_id,
                "group": context.log_group_name,
                "trace": os.environ["_X_AMZN_TRACE_ID"],
                "variables": {n: v for n, v in os.environ.items() if "LAMBDA" in n or n == "TZ"},
                "own": os.environ["GREETING"],
                "cwd": os.getcwd(),
            }
        """,
        variables={"GREETING": "hi"},
    )
    found = await greet.value(
        {"ä": 1},
        client_context=b'{"custom":\n{"a": "b"}}',
        identity=b'{"cognitoIdentityId": "x"}',
        trace_id="Root=1-a-b",
        qualifier="live",
    )
    assert found["event"] == {"ä": 1}
    assert re.fullmatch("[0-9a-f-]{36}", found["id"])
    assert found["arn"] == "arn:aws:lambda:us-east-1:000000000000:function:greet:live"
    assert found["memory"] == "128"
    assert 0 < found["left"] <= 10_000
    assert (found["custom"], found["identity"]) == ({"a": "b"}, "x")
    assert found["group"] == "/aws/lambda/greet"
    assert found["trace"] == "Root=1-a-b"
    assert found["own"] == "hi"
    variables = found["variables"]
    assert variables["AWS_LAMBDA_FUNCTION_NAME"] == "greet"
    assert variables["AWS_LAMBDA_FUNCTION_VERSION"] == "$LATEST"
    assert variables["AWS_LAMBDA_INITIALIZATION_TYPE"] == "on-demand"
    assert variables["LAMBDA_TASK_ROOT"] == found["cwd"]
    assert variables["TZ"] == ":UTC"


async def test_an_environment_does_one_invocation_after_the_other_in_one_process(make: Any) -> None:
    greet = await make(
        """
        import os
        count = 0

        def handler(event, context):
            global count
            count += 1
            return [os.getpid(), count]
        """
    )
    found = await asyncio.gather(*(greet.value() for _ in range(20)))
    assert len({pid for pid, _ in found}) == 1
    assert sorted(count for _, count in found) == list(range(1, 21))


async def test_the_log_has_lambdas_own_lines_around_the_functions(make: Any) -> None:
    greet = await make(
        """
        import logging, sys
        print("importing")

        def handler(event, context):
            print("out")
            print("err", file=sys.stderr)
            logging.getLogger().warning("first\\nsecond")
            return 1
        """
    )
    result = await greet(log_tail=True)
    await greet()
    log = greet.log()
    version = greet.setup.function.runtime_version
    assert log[:2] == [f"INIT_START Runtime Version: {version}", "importing"]
    start = log.index(next(line for line in log if line.startswith("START ")))
    request_id = log[start].split()[2]
    assert log[start] == f"START RequestId: {request_id} Version: $LATEST"
    end = log.index(f"END RequestId: {request_id}")
    own = log[start + 1 : end]
    assert {"out", "err", "second"} < set(own)
    assert any(re.fullmatch(rf"\[WARNING\]\t.*\t{request_id}\tfirst", line) for line in own)
    number = r"\d+\.\d\d ms"
    assert re.fullmatch(
        rf"REPORT RequestId: {request_id}\tDuration: {number}\tBilled Duration: \d+ ms\t"
        rf"Memory Size: 128 MB\tMax Memory Used: \d+ MB\tInit Duration: {number}\t",
        log[end + 1],
    )
    assert "Init Duration" not in log[-1]
    assert result.log_tail.decode().splitlines() == log[start : end + 2]
    assert [each[2] for each in greet.lines if each[3] == request_id] == log[start : end + 2]
    assert result.init_ms is not None
    assert result.billed_ms >= result.init_ms


async def test_an_exception_is_the_functions_answer_and_the_process_lives_on(make: Any) -> None:
    greet = await make(
        """
        import os

        def handler(event, context):
            if event == "raise":
                raise KeyError("no" + "ö" * 100_000)
            return os.getpid()
        """
    )
    before = await greet.value()
    error = await greet.error("raise")
    assert error["errorType"] == "KeyError"
    assert "handler" in error["stackTrace"][0]
    assert await greet.value() == before


async def test_a_function_that_exits_is_started_again(make: Any) -> None:
    greet = await make(
        """
        import ctypes, os, signal, sys

        def handler(event, context):
            if event == "exit": sys.exit(3)
            if event == "done": os._exit(0)
            if event == "kill": os.kill(os.getpid(), signal.SIGKILL)
            if event == "fault": ctypes.string_at(0)
            return os.getpid()
        """,
    )
    pids = [await greet.value()]
    for event, how in (
        ("exit", "with error: exit status 3"),
        ("done", "without providing a reason"),
        ("kill", "with error: signal: killed"),
        ("fault", "with error: signal: segmentation fault"),
    ):
        result = await greet(event, log_tail=True)
        error = json.loads(result.payload)
        assert error["errorType"] == "Runtime.ExitError"
        assert re.fullmatch(
            rf"RequestId: [0-9a-f-]{{36}} Error: Runtime exited {how}", error["errorMessage"]
        )
        assert error["errorMessage"] in result.log_tail.decode()
        assert "Status: error\tError Type: Runtime.ExitError" in greet.log()[-1]
        assert await greet.value() > 0
    assert "REPORT" in greet.log()[-1]
    assert pids


async def test_a_function_that_never_returns_is_ended_at_its_timeout(make: Any) -> None:
    greet = await make(
        """
        import os, time

        def handler(event, context):
            while event: pass
            return os.getpid()
        """,
        timeout=1.0,
    )
    await greet.value()
    old = greet.environment.pid
    result = await greet("stay", log_tail=True)
    error = json.loads(result.payload)
    assert error["errorType"] == "Sandbox.Timedout"
    assert error["errorMessage"].endswith("Error: Task timed out after 1.00 seconds")
    assert (result.duration_ms, result.billed_ms) == (1000.0, 1000)
    assert re.search(r"Z [0-9a-f-]{36} Task timed out after 1.00 seconds", str(result.log_tail))
    assert "Duration: 1000.00 ms" in greet.log()[-1]
    assert "Status: timeout" in greet.log()[-1]
    assert not runs(old)
    assert await greet.value() > 0


async def test_what_cannot_be_imported_fails_each_invocation_and_is_tried_anew(make: Any) -> None:
    greet = await make("import nowhere\n")
    assert "No module named 'nowhere'" in greet.environment.trouble
    for _ in range(2):
        error = await greet.error()
        assert error["errorType"] == "Runtime.ImportModuleError"
    log = greet.log("platform")
    assert any(
        re.fullmatch(
            r"INIT_REPORT Init Duration: .* ms\tPhase: init\tStatus: error\t"
            r"Error Type: Runtime.ImportModuleError",
            line,
        )
        for line in log
    )
    assert sum("Phase: invoke" in line for line in log) == 2
    assert (await greet()).init_ms is None


async def test_a_handler_that_is_not_there_and_one_that_exits_while_it_starts(make: Any) -> None:
    absent = await make(ECHO, handler="app.nothing")
    assert (await absent.error())["errorType"] == "Runtime.HandlerNotFound"
    malformed = await make(ECHO, handler="app")
    assert (await malformed.error())["errorType"] == "Runtime.MalformedHandlerName"
    exits = await make("import os; os._exit(7)\n")
    assert "exit status 7" in (await exits.error())["errorMessage"]


async def test_what_cannot_be_json_is_the_functions_error(make: Any) -> None:
    greet = await make(
        """
        import decimal

        def handler(event, context):
            return {
                "generator": lambda: (n for n in range(3)),
                "object": object,
                "bytes": lambda: b"raw",
                "nan": lambda: float("nan"),
                "decimal": lambda: decimal.Decimal("1.10"),
                "none": lambda: None,
            }[event]()
        """
    )
    for what in ("generator", "object"):
        assert (await greet.error(what))["errorType"] == "Runtime.MarshalError"
    raw = await greet("bytes")
    assert (raw.payload, raw.content_type, raw.function_error) == (
        b"raw",
        "application/unknown",
        None,
    )
    assert (await greet("nan")).payload == b"NaN"
    assert (await greet("decimal")).payload == b"1.10"
    assert await greet.value("none") is None
    error = await greet.error(b"{not json")
    assert error["errorType"] == "Runtime.UnmarshalError"


async def test_an_answer_over_six_megabytes_is_an_error_and_ends_the_process(make: Any) -> None:
    greet = await make("def handler(event, context):\n    return 'x' * event\n")
    assert len(await greet.value(6_000_000)) == 6_000_000
    error = await greet.error(6_300_000)
    assert error["errorType"] == "Function.ResponseSizeTooLarge"
    assert "exceeded maximum allowed payload size (6291556 bytes)" in error["errorMessage"]
    assert await greet.value(2) == "xx"


async def test_an_event_of_six_megabytes_arrives(make: Any) -> None:
    greet = await make("def handler(event, context):\n    return len(event)\n")
    assert await greet.value("x" * 6_000_000) == 6_000_000


async def test_who_prints_without_end_is_not_kept_but_answers(make: Any) -> None:
    greet = await make(
        """
        import os

        def handler(event, context):
            for _ in range(event):
                os.write(1, b"a line of text\\n" * 4096)
            return "done"
        """,
        timeout=60.0,
    )
    assert await greet.value(1600) == "done"  # 100 MB
    assert len(greet.lines) < 100_000
    assert any("more bytes were written here and are not kept" in line for line in greet.log())
    assert "REPORT" in greet.log()[-1]


async def test_nothing_runs_between_two_invocations(make: Any) -> None:
    greet = await make(
        """
        import threading, time
        count = 0

        def work():
            global count
            while True:
                count += 1
                time.sleep(0.001)

        threading.Thread(target=work, daemon=True).start()

        def handler(event, context):
            if event: time.sleep(event)
            return count
        """
    )
    before = await greet.value()
    for _ in range(500):  # the kernel stops it when it next looks
        if fields(greet.environment.pid)[0] == "T":
            break
        await asyncio.sleep(0.01)
    assert fields(greet.environment.pid)[0] == "T"
    await asyncio.sleep(0.3)
    assert await greet.value() < before + 100
    assert await greet.value(0.2) > before


async def test_a_caller_that_goes_away_does_not_end_the_invocation(make: Any) -> None:
    greet = await make(
        """
        import time
        done = []

        def handler(event, context):
            if event:
                time.sleep(0.3)
                done.append(event)
            return done
        """
    )
    abandoned = asyncio.ensure_future(greet(1))
    await asyncio.sleep(0.05)
    abandoned.cancel()
    assert await greet.value() == [1]


async def test_a_stopped_environment_leaves_no_process(make: Any) -> None:
    greet = await make(
        """
        import subprocess
        child = subprocess.Popen(["sleep", "60"])

        def handler(event, context):
            return child.pid
        """
    )
    await greet.value()
    pid = greet.environment.pid
    await greet.environment.stop(0.0)
    assert not runs(pid)
    assert greet.environment.pid == 0
    assert await greet.environment.wait() == 0
    assert not session(pid)


async def test_json_logs_come_whole(make: Any) -> None:
    greet = await make(
        """
        import logging

        def handler(event, context):
            logging.getLogger().error("ou\\nch", extra={"n": 1})
        """,
        variables={"AWS_LAMBDA_LOG_FORMAT": "JSON"},
    )
    await greet.value()
    [entry] = [json.loads(line) for line in greet.log("stdout") if line.startswith("{")]
    assert (entry["level"], entry["message"], entry["n"]) == ("ERROR", "ou\nch", 1)


async def test_several_workers_take_several_invocations_at_a_time(make: Any) -> None:
    greet = await make(
        """
        import os, time

        def handler(event, context):
            time.sleep(event)
            return os.getpid()
        """,
        workers=4,
    )
    for _ in range(10):  # one may still be starting
        found = await asyncio.gather(*(greet.value(0.3) for _ in range(4)))
        if len(set(found)) == 4:
            break
    assert len(set(found)) == 4
    late = await greet.error(2.0, timeout=0.2)
    assert late["errorType"] == "Sandbox.Timedout"
    assert await greet.value(0.0) in found


async def test_workers_that_cannot_start_say_so_once(make: Any) -> None:
    greet = await make("import nowhere\n", workers=3)
    assert (await greet.error())["errorType"] == "Runtime.ImportModuleError"


async def test_an_environment_inherits_nothing_of_ours(make: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("SECRET_OF_OURS", "x")
    greet = await make("import os\ndef handler(e, c):\n    return dict(os.environ)\n")
    found = await greet.value()
    assert "SECRET_OF_OURS" not in found
    assert "SECRET_OF_OURS" in os.environ


async def test_a_start_that_takes_too_long_is_begun_anew_in_the_first_invocation(make: Any) -> None:
    greet = await make(
        "import time; time.sleep(0.6)\ndef handler(event, context):\n    return event\n",
        init_timeout=0.3,
    )
    assert greet.environment.trouble == ""
    [line] = [line for line in greet.log("platform") if line.startswith("INIT_REPORT")]
    assert re.fullmatch(r"INIT_REPORT Init Duration: \S+ ms\tPhase: init\tStatus: timeout", line)
    result = await greet(1)
    assert (result.payload, result.init_ms) == (b"1", None)
    assert result.duration_ms > 600


async def test_a_start_that_is_too_slow_for_the_timeout_too_never_comes(make: Any) -> None:
    greet = await make("import time; time.sleep(60)\n", init_timeout=0.1, timeout=0.3)
    for _ in range(2):
        assert (await greet.error())["errorType"] == "Sandbox.Timedout"
    assert greet.environment.pid == 0


async def test_each_environment_has_a_log_stream_of_its_own(make: Any) -> None:
    source = "def handler(event, context):\n    return context.log_stream_name\n"
    found = [await (await make(source)).value() for _ in range(2)]
    assert found[0] != found[1]
    assert all(re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", each) for each in found)
