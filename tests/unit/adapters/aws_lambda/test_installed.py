"""What the target needs is asked for before anything is built."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHECK = """\
import sys
from pathlib import Path
from bentofn.adapters.aws_lambda.adapter import AwsLambdaAdapter
from bentofn.packager.home import Home
AwsLambdaAdapter(Home(Path(sys.argv[1]))).check_installed()
"""


def test_boto3_is_named_where_it_is_missing(tmp_path: Path) -> None:
    project = Path(__file__).resolve().parents[4]
    command = [sys.executable, "-S", "-c", CHECK, str(tmp_path)]  # -S: no packages but bentofn
    done = subprocess.run(
        command, env={"PYTHONPATH": str(project)}, capture_output=True, text=True, check=False
    )
    assert "pip install 'bentofn[aws]'" in done.stderr
    assert done.returncode == 1
