"""``benchmarks/gpu.py`` runs in full without a GPU, and says that its figures are none."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from bentofn.packager.snapshot.criu.binary import CriuUnfit, find_criu

ROOT = Path(__file__).resolve().parents[2]


def test_it_runs_on_the_stand_in(tmp_path: Path, libfakecuda: Path) -> None:
    table = tmp_path / "gpu.json"
    script = str(ROOT / "benchmarks" / "gpu.py")
    sections = ["limits", "weights", "registered", "pretrained", "tiers"]
    command = [sys.executable, script, "--fake", "--folder", str(tmp_path), "--json", str(table)]
    run = subprocess.run(
        [*command, "--only", *sections], capture_output=True, text=True, check=False, timeout=300
    )
    assert run.returncode == 0, run.stderr[-3000:]
    found = json.loads(table.read_text())
    assert found["versions"]["device"] == "fake"
    cases = {row["case"].partition(":")[0] for row in found["rows"]}
    on_disk = set()
    with suppress(CriuUnfit):
        find_criu()
        on_disk = {"tier B", "tier C"}
    assert cases >= {"L1", "L2", "L3", "resident", "evicted", "tier A"} | on_disk, run.stdout
    assert not (ROOT / "benchmarks" / "results" / "gpu.json").exists()


def test_a_section_that_fails_leaves_the_others_their_rows(
    tmp_path: Path, libfakecuda: Path
) -> None:
    table = tmp_path / "gpu.json"
    script = str(ROOT / "benchmarks" / "gpu.py")
    options = ["--fake", "--folder", str(tmp_path), "--json", str(table)]
    run = subprocess.run(
        [sys.executable, script, *options, "--only", "no_such", "limits"],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert run.returncode == 1
    assert "no_such failed" in run.stdout
    assert {row["case"][:2] for row in json.loads(table.read_text())["rows"]} == {"L1", "L2", "L3"}
