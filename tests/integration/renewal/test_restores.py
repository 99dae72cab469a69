"""What restores of one image share, and what they must not."""

from __future__ import annotations

import os
import textwrap
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from bentofn.runtime.protocol import Failed

from .conftest import Image, TakeImage

RESTORES = int(os.environ.get("BENTOFN_TEST_RESTORES", "4"))
"""How often the image of all random streams is restored; the issue's proof is 1,000."""

STREAMS = """
import ctypes, mmap, multiprocessing, os, platform, random, secrets, shutil, sqlite3, ssl
import tempfile, time, uuid

import bentofn
import numpy as np
from bentofn.runtime import renew
from cryptography.hazmat.primitives.asymmetric import ec, x25519

RENEWED = os.environ.get("RENEWED") != "no"
if not RENEWED:
    renew.renew = lambda renewals: None

libc = ctypes.CDLL(None)
libc.drand48.restype = ctypes.c_double


class Plain:
    def __init__(self):
        self.generator = random.Random(7)


def loaded(name):
    "A C library that this host may have."
    try:
        return ctypes.CDLL(name)
    except OSError:
        return None


def another_openssl():
    "As a wheel that brings its own: a copy of Python's."
    for line in open("/proc/self/maps"):
        path = line.split()[-1]
        if os.path.basename(path).startswith("libcrypto"):
            folder = tempfile.mkdtemp(dir=os.path.dirname(__file__))
            return ctypes.CDLL(shutil.copy(path, folder))


def drawn(function, *arguments):
    buffer = ctypes.create_string_buffer(8)
    function(*(buffer if each is None else each for each in arguments))
    return buffer.raw.hex()



@bentofn.service
class Streams:
    def __init__(self):
        self.part = Plain()
        self.generator = np.random.default_rng(7)
        self.legacy = np.random.RandomState(7)
        self.sequence = np.random.SeedSequence(7)
        self.database = sqlite3.connect(":memory:", check_same_thread=False)
        self.page = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.page.madvise(18)  # MADV_WIPEONFORK
        self.page[:4] = b"seed"
        self.openssl = another_openssl()
        self.gnutls, self.gcrypt = loaded("libgnutls.so.30"), loaded("libgcrypt.so.20")
        {torch}

    @bentofn.api(examples=[{{}}])
    def fresh(self) -> dict:
        "Differs in every process, renewed or not."
        return {{
            "urandom": os.urandom(8).hex(), "getrandom": drawn(libc.getrandom, None, 8, 0),
            "secrets": secrets.token_hex(8), "uuid4": str(uuid.uuid4()),
            "SystemRandom": random.SystemRandom().random(),
        }}

    @bentofn.api(examples=[{{}}])
    async def draw(self) -> dict:
        "Every generator that lives in memory; on the main thread, where some keep one a thread."
        key = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
        c, size = {{}}, ctypes.c_size_t(8)
        if self.openssl:
            c["another OpenSSL"] = drawn(self.openssl.RAND_bytes, None, 8)
        if self.gnutls:
            c["GnuTLS nonce"] = drawn(self.gnutls.gnutls_rnd, 0, None, size)
            c["GnuTLS key"] = drawn(self.gnutls.gnutls_rnd, 2, None, size)
        if self.gcrypt:
            c["Libgcrypt"] = drawn(self.gcrypt.gcry_randomize, None, size, 1)
        return {{
            **c, "random": random.random(), "Random": self.part.generator.random(),
            "numpy": np.random.random(), "numpy normal": np.random.standard_normal(),
            "numpy generator": self.generator.random(),
            "numpy spawned": self.generator.spawn(1)[0].random(),
            "numpy RandomState": self.legacy.standard_normal(),
            "numpy SeedSequence": int(self.sequence.generate_state(1)[0]),
            "ssl": ssl.RAND_bytes(8).hex(),
            "x25519": x25519.X25519PrivateKey.generate().private_bytes_raw().hex(),
            "ec": str(key),
            "sqlite": self.database.execute("select random()").fetchone()[0],
            "rand": [libc.rand(), libc.rand()], "random(3)": libc.random(),
            "drand48": libc.drand48(),
            "tempfile": tempfile.mktemp(),
            "authkey": bytes(multiprocessing.current_process().authkey).hex(),
            {draws}
        }}

    @bentofn.api
    def state(self) -> dict:
        return {{
            "page": self.page[:4].hex(), "hash": hash("a text"),
            "variable": os.environ.get("VARIABLE"), "zone": time.tzname[0],
            "directory": tempfile.gettempdir(), "node": platform.node(),
            "uuids": [str(uuid.uuid1()) for _ in range(4)],
        }}
"""
TORCH = """
        import torch
        self.torch, self.torch_generator = torch, torch.Generator()
"""
TORCH_DRAWS = """
            "torch": self.torch.rand(1).item(),
            "torch generator": self.torch.rand(1, generator=self.torch_generator).item(),
"""


def streams(torch: bool = False) -> str:
    torch_lines, draws = (TORCH.strip(), TORCH_DRAWS.strip()) if torch else ("", "")
    return STREAMS.format(torch=torch_lines, draws=draws)


@pytest.fixture(scope="module")
def image(take_image: TakeImage) -> Image:
    return take_image(streams(), "Streams")


def shared(answers: list[dict[str, Any]]) -> list[str]:
    """The names of which two answers have one value."""
    return [
        name for name in answers[0] if len({str(answer[name]) for answer in answers}) < len(answers)
    ]


def test_no_two_restores_draw_the_same(image: Image) -> None:
    drawn = [image.restore(("draw", "draw", "fresh")) for _ in range(RESTORES)]
    first, again, fresh = zip(*drawn, strict=True)
    assert set(shared([*first, *again])) == {"authkey", "numpy SeedSequence"}, "one a process"
    assert shared(list(first)) == []
    assert shared(list(fresh)) == []


def test_without_renewal_all_restores_draw_the_same(take_image: TakeImage) -> None:
    """So that the test above shows what renewal does, and not what CRIU or the libraries do."""
    image = take_image(streams(), "Streams", {"RENEWED": "no"})
    one, other = (image.restore(("draw", "fresh")) for _ in range(2))
    # The name's generator is seeded when the first name is made.
    assert [name for name in one[0] if one[0][name] != other[0][name]] == []
    assert shared([one[1], other[1]]) == []


def test_a_restore_is_of_its_own_host_and_environment(image: Image, tmp_path: Path) -> None:
    [state] = image.restore(("state",), VARIABLE="now", TZ="Asia/Tokyo", TMPDIR=str(tmp_path))
    [other] = image.restore(("state",), VARIABLE="then")
    assert (state["variable"], other["variable"]) == ("now", "then")
    assert (state["zone"], state["directory"]) == ("JST", str(tmp_path))
    assert state["node"] == other["node"] == os.uname().nodename
    assert state["page"] == other["page"] == bytes(4).hex(), "as in a fork"
    assert not set(state["uuids"]) & set(other["uuids"])
    assert state["hash"] == other["hash"], "hash seeds cannot be changed: they are one an image"


@pytest.mark.slow
def test_no_two_restores_draw_the_same_from_torch(take_image: TakeImage) -> None:
    image = take_image(streams(torch=True), "Streams")
    drawn = [image.restore(("draw",))[0] for _ in range(RESTORES)]
    assert {"torch", "torch generator"} <= drawn[0].keys()
    assert shared(drawn) == []


# Libraries too large to be among what the tests need; each is tried where it is installed.
OF_A_LIBRARY = """
import bentofn
{setup}

@bentofn.service
class Library:
    @bentofn.api(examples=[{{}}])
    async def draw(self) -> list:
        return [{draw}]
"""
LIBRARIES = {
    "polars": ("import polars\nnumbers = polars.Series(range(1000))", "*numbers.sample(4)"),
    "numba": (
        "import numba, numpy, random\n"
        "one = numba.njit(lambda: random.random())\n"
        "other = numba.njit(lambda: numpy.random.random())",
        "one(), other()",
    ),
    "onnxruntime": (
        "import onnxruntime\n"
        "from onnx import TensorProto, helper\n"
        "node = helper.make_node('RandomNormal', [], ['y'], shape=[4])\n"
        "output = helper.make_tensor_value_info('y', TensorProto.FLOAT, [4])\n"
        "graph = helper.make_graph([node], 'g', [], [output])\n"
        "opset = helper.make_opsetid('', 17)\n"
        "model = helper.make_model(graph, opset_imports=[opset], ir_version=9)\n"
        "content = model.SerializeToString()",
        "*onnxruntime.InferenceSession(content).run(None, {})[0].tolist()",
    ),
    "tensorflow": (
        "import tensorflow as tf\ntf.random.set_seed(7)\ntf.random.get_global_generator()",
        "float(tf.random.uniform([])), float(tf.random.get_global_generator().uniform([]))",
    ),
    "OpenSSL": (
        "from OpenSSL.crypto import FILETYPE_PEM, PKey, TYPE_RSA, dump_privatekey\n"
        "def made():\n"
        "    key = PKey()\n"
        "    key.generate_key(TYPE_RSA, 1024)\n"
        "    return dump_privatekey(FILETYPE_PEM, key).decode()",
        "made()",
    ),
}


@pytest.mark.parametrize("library", LIBRARIES)
def test_what_a_library_draws_differs_in_each_restore(library: str, take_image: TakeImage) -> None:
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    setup, draw = LIBRARIES[library]
    image = take_image(OF_A_LIBRARY.format(setup=setup, draw=draw), "Library")
    one, other = (image.restore(("draw",))[0] for _ in range(2))
    assert one != other


ANOTHER_BOOT = """
import os, time
real = time.monotonic
time.monotonic = lambda: real() + (0 if "RESTORED" in os.environ else 100_000)
"""
CLOCKS = """
import time
import bentofn

@bentofn.service
class Clocks:
    def __init__(self):
        self.wall, self.monotonic = time.time(), time.monotonic()

    @bentofn.api
    def passed(self) -> list:
        return [time.time() - self.wall, time.monotonic() - self.monotonic]
"""


def test_the_monotonic_clock_goes_on_while_the_snapshot_lies(take_image: TakeImage) -> None:
    image = take_image(CLOCKS, "Clocks")
    time.sleep(1.5)  # the time that passes is what is tested
    [[wall, monotonic]] = image.restore(("passed",))
    assert wall > 1.5
    assert monotonic == pytest.approx(wall, abs=0.5)


def test_the_monotonic_clock_is_set_on_after_another_boot(take_image: TakeImage) -> None:
    """As if the host had run 100,000 s longer when the snapshot was taken, and was then started."""
    image = take_image(ANOTHER_BOOT + CLOCKS, "Clocks")
    [[wall, monotonic]] = image.restore(("passed",), RESTORED="yes")
    assert monotonic == pytest.approx(wall, abs=1.5)


THREADS = """
import threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
"""


def test_the_clock_of_a_process_with_threads_goes_on_from_its_dump(take_image: TakeImage) -> None:
    """The kernel lets no thread change its clock; so no deadline of one is far off, at least."""
    image = take_image(THREADS + CLOCKS, "Clocks")
    time.sleep(2)  # the time that passes is what is tested
    [[wall, monotonic]] = image.restore(("passed",))
    assert monotonic < wall - 1
    assert "s behind and cannot be set on (the service keeps threads)" in image.log()


HOOKS = """
import os, snapshot_restore_py
import bentofn

EVENTS = []
snapshot_restore_py.register_before_snapshot(EVENTS.append, "AWS before")
snapshot_restore_py.register_after_restore(EVENTS.append, "AWS after")

@bentofn.register_after_restore
def connect() -> None:
    EVENTS.append("after")
    if os.environ.get("DATABASE") == "gone":
        raise ConnectionError("refused")

@bentofn.service
class Hooks:
    @bentofn.after_restore
    async def method(self) -> None:
        EVENTS.append("method")

    @bentofn.api
    def events(self) -> list:
        return EVENTS
"""


def test_hooks_run_in_order_and_one_that_raises_is_named(take_image: TakeImage) -> None:
    image = take_image(HOOKS, "Hooks")
    for _ in range(2):
        [events] = image.restore(("events",))
        assert events == ["AWS before", "AWS after", "after", "method"]
    line = HOOKS.splitlines().index("@bentofn.register_after_restore") + 1
    [failed] = image.restore((), DATABASE="gone")
    assert failed == Failed(
        f"the after_restore hook connect (service.py:{line}) raised "
        f"ConnectionError: refused (service.py:{line + 4})"
    )
    assert "Traceback" in image.log()
    assert textwrap.indent('raise ConnectionError("refused")', "    ") in image.log()
