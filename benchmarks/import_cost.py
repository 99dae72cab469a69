"""What `import bentofn` costs over a bare interpreter, the two started in turn."""

from __future__ import annotations

import subprocess
import sys
import time

from table import Row, Table, arguments

BARE = "pass"
IMPORT = "import bentofn"
DECLARE = "import bentofn; bentofn.service; bentofn.api; bentofn.models"


def start(code: str) -> float:
    """Milliseconds from starting an interpreter that runs ``code`` to its end."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return (time.perf_counter() - began) * 1000


def main() -> None:
    """Measure and write the table."""
    options = arguments(__doc__)
    rounds = 10 if options.quick else 40
    table = Table("import_cost")
    samples: dict[str, list[float]] = {BARE: [], IMPORT: [], DECLARE: []}
    for code in samples:
        start(code)
    for _ in range(rounds):
        for code, values in samples.items():
            values.append(start(code))
    table.add(Row("start an interpreter", "bare python", "wall", "ms", samples[BARE]))
    for code in (IMPORT, DECLARE):
        over = [a - b for a, b in zip(samples[code], samples[BARE], strict=True)]
        table.add(Row(code, "bentofn", "over bare python", "ms", over, goal="<= 60"))
    table.write(options.json)


if __name__ == "__main__":
    main()
