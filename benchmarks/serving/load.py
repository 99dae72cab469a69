"""Load on one server: ``wrk`` on a core of its own, its bodies in turn."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_SCRIPT = """\
local bodies = {
%s
}
local requests, turn = {}, 0
function init(arguments)
  wrk.headers["Content-Type"] = "application/json"
  for number, body in ipairs(bodies) do
    requests[number] = wrk.format("POST", "/%s", nil, body)
  end
end
function request()
  turn = turn %% #requests + 1
  return requests[turn]
end
function done(summary, latency, requests)
  local errors = summary.errors
  local result = '{"answers": %%d, "microseconds": %%d, "refused": %%d, "broken": %%d,'
  io.write(string.format(
    result .. ' "p50": %%d, "p99": %%d}\\n',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True)
class Load:
    """What a server did under load.

    Args:
        rate: Right answers a second.
        p50: The median of the time to an answer, in milliseconds.
        p99: The 99th percentile of the time to an answer, in milliseconds.
        refused: Share of the answers with a status of 400 or more.
    """

    rate: float
    p50: float
    p99: float
    refused: float


def write_script(path: Path, route: str, bodies: Sequence[bytes]) -> None:
    """Write wrk's script, which sends the bodies in turn."""
    quoted = ",\n".join(f"[==[{body.decode()}]==]" for body in bodies)
    path.write_text(_SCRIPT % (quoted, route))


def put(port: int, script: Path, connections: int, seconds: float, core: int) -> Load:
    """Put load on a server of this machine.

    Args:
        port: Its port.
        script: From :func:`write_script`.
        connections: That are open at once; each waits for its answer.
        seconds: How long.
        core: Where wrk runs.

    Raises:
        SystemExit: wrk failed, or connections broke.
    """
    command = ["taskset", "-c", str(core), "wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s"]
    command += ["--timeout", "30s", "-s", str(script), f"http://127.0.0.1:{port}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"wrk failed: {done.stderr or done.stdout}")
    found = json.loads(done.stdout.strip().rpartition("\n")[2])
    if found["broken"]:
        raise SystemExit(f"{found['broken']} connections to port {port} broke under load")
    good = found["answers"] - found["refused"]
    return Load(
        good / found["microseconds"] * 1e6,
        found["p50"] / 1000,
        found["p99"] / 1000,
        found["refused"] / max(found["answers"], 1),
    )
