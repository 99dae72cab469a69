"""A Python client, checked by mypy and run against the service."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import bentofn as bentofn_package
from bentofn.packager.home import Home

HERE = Path(__file__).parent
MISUSE = """
from shop_client import CornerShopClient

shop = CornerShopClient("http://127.0.0.1:9", server_ready_timeout=0)
shop.buy(items=[{"name": "pear", "price": "2"}])
shop.buy()
shop.shout(3)
shop.bake.submit(loaves=1).get().total
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def check(folder: Path, *files: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", *files]
    # mypy sees no packages that are installed by a hook, as editable ones are.
    environment = {**os.environ, "MYPYPATH": str(Path(bentofn_package.__file__).parents[1])}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_every_kind_of_call(url: str, bentofn: Run, tmp_path: Path) -> None:
    shutil.copy(HERE / "use.py", tmp_path)
    (tmp_path / "misuse.py").write_text(MISUSE)
    home = Home(tmp_path / "home").path
    target = str(tmp_path / "shop_client.py")
    done = bentofn("client", url, "--lang", "python", "-o", target, home=home)
    assert "shelf is left out" in done.stderr
    fine = check(tmp_path, "shop_client.py", "use.py")
    assert fine.returncode == 0, fine.stdout
    wrong = check(tmp_path, "misuse.py").stdout.splitlines()
    assert [line.split(":")[1] for line in wrong if ": error:" in line] == ["5", "6", "7", "8"]
    command = [sys.executable, "use.py", url]
    ran = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {
        "total": 2.5,
        "note": None,
        "shout": "É",
        "tags": {"apple": ["a", "b"]},
        "quoted": "<a>",
        "scaled": ["ndarray", [[2.0, 4.0]]],
        "uploaded": ["none", "one", "two"],
        "downloaded": '{"is": "a file"}',
        "count": "0é 1é 2é ",
        "steps": [0, 1, 2],
        "data": [0, 255, 1],
        "baked": ["bread", "bread"],
        "direct": ["bread"],
        "refused": '[{"error":"not today"}]',
        "later": ["0é 1é ", ["bread"], ["bread", "bread"], "A"],
    }
