"""Draws docs/cold-start-timeline.svg from a trace of `bentofn bench cold-start --trace`.

python benchmarks/timeline_picture.py TRACE.json docs/cold-start-timeline.svg
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

WIDTH, LEFT, RIGHT = 980, 98, 952
LANE, GAP, LETTER = 22, 3, 6.1
SHALLOW = 4
"""Levels of stages that are drawn."""

KINDS = {
    "process": "platform", "restore": "platform", "request": "platform", "fork": "platform",
    "gpu": "platform",
    "interpreter": "python", "boot": "python", "import": "imports",
    "manifest": "python", "construct": "model", "weights": "model", "module": "model",
    "cuda": "model", "app": "python", "warm-up": "warm", "example": "warm", "answer": "answer",
    "call": "answer", "orders": "own", "environment": "own", "renew": "own", "seal": "own",
    "isolate": "own", "after_restore": "own", "hook": "own",
}  # fmt: skip
"""Category of a stage to the colour that it has; any other is the server's."""

HOW = {
    "criu": "Restored from its snapshot", "template": "Forked from a template",
    "checkpointed": "Woken with its GPU memory in host memory",
}  # fmt: skip
"""Kinds of starts beside the plain one."""

STYLE = """
      text { fill: #1f2328 }
      .page { fill: #ffffff; stroke: #d0d7de }
      .heading { font-size: 16px; font-weight: 600 }
      .small { font-size: 11px; fill: #57606a }
      .axis { stroke: #d0d7de }
      .zoom { stroke: #8c959f; fill: none; stroke-dasharray: 4 4 }
      .slice { stroke-width: 0.5; stroke: #57606a }
      .inside { font-size: 11px; fill: #1f2328 }
      .platform { fill: #ffd8a8 } .python { fill: #d0d7de } .imports { fill: #a5c8ff }
      .model { fill: #a7e3b8 } .warm { fill: #fff0a3 } .answer { fill: #9fe0dd }
      .own { fill: #dcc4f5 } .server { fill: #f3c6d3 } .whole { fill: #ffd8a8 }
      @media (prefers-color-scheme: dark) {
        text { fill: #e6edf3 }
        .page { fill: #0d1117; stroke: #30363d }
        .small { fill: #9198a1 }
        .axis { stroke: #30363d }
        .inside { fill: #1f2328 }
      }
"""


@dataclass(frozen=True)
class Box:
    """A stage as it is drawn: milliseconds from the start's beginning, and how deep it is."""

    name: str
    kind: str
    began: float
    took: float
    depth: int


@dataclass(frozen=True)
class Start:
    """A start: its name, how long it took in milliseconds, and what was done where."""

    name: str
    took: float
    platform: Sequence[Box]
    instance: Sequence[Box]


def starts_of(document: dict[str, Any]) -> Iterator[Start]:
    """The starts of a trace."""
    events = document["traceEvents"]
    slices = [each for each in events if each["ph"] == "X"]
    names = {each["pid"]: each["args"]["name"] for each in events if each["name"] == "process_name"}
    for whole in slices:
        if not whole["name"].startswith("cold start, "):
            continue
        began, ended = whole["ts"], whole["ts"] + whole["dur"]
        during = [
            {**each, "dur": min(each["dur"], ended - each["ts"])} for each in slices
            if began <= each["ts"] < ended and each is not whole and each["dur"] > 0
        ]  # fmt: skip
        ours = [each for each in during if names[each["pid"]] == "platform"]
        theirs = [each for each in during if names[each["pid"]] != "platform"]
        name = whole["name"].partition(", ")[2]
        platform, instance = list(_boxes(ours, began)), list(_main(theirs, began))
        yield Start(name, whole["dur"] / 1000, platform, instance)


def _main(slices: Sequence[dict[str, Any]], zero: float) -> Iterator[Box]:
    """Those of the instance's first thread."""
    first = min(slices, key=lambda each: float(each["ts"]))
    place = first["pid"], first["tid"]
    return _boxes([each for each in slices if (each["pid"], each["tid"]) == place], zero)


def _boxes(slices: Sequence[dict[str, Any]], zero: float) -> Iterator[Box]:
    around: list[float] = []
    for each in sorted(slices, key=lambda each: (each["ts"], -each["dur"])):
        while around and around[-1] <= each["ts"] + 1e-3:
            around.pop()
        kind = KINDS.get(each["cat"], "server")
        yield Box(each["name"], kind, (each["ts"] - zero) / 1000, each["dur"] / 1000, len(around))
        around.append(each["ts"] + each["dur"])


def panel(start: Start, top: int, scale: float) -> tuple[list[str], int, int]:
    """The lanes of a start and their legend; returns the lines, and where each of the two ends.

    Args:
        start: It.
        top: Where they begin, in pixels.
        scale: Pixels of a millisecond.
    """
    lines, y = [], top
    unnamed: list[Box] = []
    for who, boxes in (("platform", start.platform), ("instance", start.instance)):
        drawn = [box for box in boxes if box.took * scale >= 0.7 and box.depth < SHALLOW]
        lines.append(f'<text class="small" x="28" y="{y + 15}">{who}</text>')
        for box in drawn:
            lines += _slice(box, y + box.depth * (LANE + GAP), scale)
        unnamed += [box for box in drawn if box.depth == 0 and not _label(box, scale)]
        y += (1 + max((box.depth for box in drawn), default=0)) * (LANE + GAP) + 5
    legend, end = _legend(sorted(unnamed, key=lambda box: box.began), y + 6)
    return lines + legend, y, end


def _legend(boxes: Sequence[Box], y: int) -> tuple[list[str], int]:
    """What is too short for its name, in the order of time; and where its last line begins."""
    lines, x = [], 28.0
    for box in boxes:
        text = f"{box.name} {_time(box.took)}"
        width = 26 + len(text) * LETTER
        if x + width > RIGHT:
            x, y = 28.0, y + 18
        lines.append(
            f'<rect class="slice {box.kind}" x="{x:.1f}" y="{y}" width="10" height="10" rx="2"/>'
            f'<text class="small" x="{x + 14:.1f}" y="{y + 9}">{escape(text)}</text>'
        )
        x += width
    return lines, y


def _label(box: Box, scale: float) -> str:
    """As much of a stage's name and time as there is room for."""
    last = box.name.removeprefix("import ").split(".")[-1]
    for label in (f"{box.name} {_time(box.took)}", f"{last} {_time(box.took)}", box.name, last):
        if len(label) * LETTER + 6 <= box.took * scale:
            return label
    return ""


def _slice(box: Box, y: int, scale: float) -> Iterator[str]:
    x, width = LEFT + box.began * scale, box.took * scale
    yield (
        f'<rect class="slice {box.kind}" x="{x:.1f}" y="{y}" width="{width:.1f}" '
        f'height="{LANE}" rx="2"><title>{escape(box.name)}: {box.took:.2f} ms</title></rect>'
    )
    label = _label(box, scale)
    if label:
        yield f'<text class="inside" x="{x + 4:.1f}" y="{y + 15}">{escape(label)}</text>'


def axis(top: int, bottom: int, longest: float, scale: float) -> Iterator[str]:
    """Lines at round times, with the times above them."""
    steps = (digit * 10**power for power in itertools.count() for digit in (1, 2, 5))
    step = next(each for each in steps if longest / each <= 10)
    for at in range(0, int(longest) + 1, step):
        x = LEFT + at * scale
        if x < RIGHT - 40:
            yield f'<path class="axis" d="M{x:.1f} {top}V{bottom}"/>'
            yield f'<text class="small" x="{x + 3:.1f}" y="{top + 9}">{at} ms</text>'


def _time(milliseconds: float) -> str:
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.1f} ms"


def draw(document: dict[str, Any]) -> str:
    """The picture: the plain start, the restored one to the same scale, and that enlarged."""
    starts = list(starts_of(document))
    if len(starts) != 2:
        raise SystemExit("The trace has no start of two kinds; make it without --snapshot none.")
    plain, restored = starts
    longest = max(plain.took, restored.took)
    scale, zoom = (RIGHT - LEFT) / longest, (RIGHT - LEFT) / restored.took
    body = [_heading(34, f"Started plainly: {_time(plain.took)}")]
    lanes, bottom, y = panel(plain, 64, scale)
    body += [*axis(48, bottom, longest, scale), *lanes]
    small = y + 48
    body.append(_heading(small, f"{HOW[restored.name]}: {_time(restored.took)}, same scale"))
    end = LEFT + restored.took * scale
    whole = Box(HOW[restored.name], "whole", 0.0, restored.took, 0)
    body += list(_slice(whole, small + 12, scale))
    large = small + 84
    corner = small + 12 + LANE
    path = f"M{LEFT} {corner}V{large}M{end:.1f} {corner}L{RIGHT} {large}"
    body.append(f'<path class="zoom" d="{path}"/>')
    lanes, bottom, y = panel(restored, large + 18, zoom)
    body += [*axis(large, bottom, restored.took, zoom), *lanes]
    about = document["otherData"]
    body.append(
        f'<text class="small" x="28" y="{y + 36}">{escape(about["bento"].partition(":")[0])}, '
        f"from nothing running to the whole first answer; one start of each kind, every import "
        f"told of.</text>"
    )
    height = y + 52
    title = f"A plain start of {plain.took:.0f} ms beside a restored one of {restored.took:.0f} ms"
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="system-ui, sans-serif" font-size="14" role="img" aria-labelledby="title">',
        f'<title id="title">{title}, stage by stage</title>',
        f"<style>{STYLE}</style>",
        f'<rect class="page" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="12"/>',
        *body,
        "</svg>\n",
    ])  # fmt: skip


def _heading(y: int, text: str) -> str:
    return f'<text class="heading" x="28" y="{y}">{escape(text)}</text>'


if __name__ == "__main__":
    trace, picture = map(Path, sys.argv[1:])
    picture.write_text(draw(json.loads(trace.read_text())))
