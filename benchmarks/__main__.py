"""Run every benchmark, each in a process of its own, and write what they say into one Markdown file.

`python -m benchmarks` (`make bench`) takes about 25 minutes on two cores that have nothing else to do.
"""

import argparse
import dataclasses
import importlib.util
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from benchmarks import machine

ROOT = pathlib.Path(__file__).parents[1]
OUT = ROOT / "build" / "benchmarks.md"
STOP_SECONDS = 100.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """Name a benchmark: its module, its heading, and the longest it may take in seconds."""

    module: str
    title: str
    most: float


PARTS = (
    Part(module="floor", title="What the machine can do", most=60),
    Part(module="scan", title="A scan", most=600),
    Part(module="options", title="Other ways to run the nets", most=300),
    Part(module="receive", title="Receiving", most=600),
    Part(module="node", title="Time to flag", most=900),
    Part(module="worklist", title="The worklist at size", most=600),
    Part(module="scale", title="One worker and two", most=900),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Told:
    """Hold what a benchmark printed, and what was wrong with it: '' where nothing was."""

    part: Part
    text: str
    wrong: str
    seconds: float


def run(part: Part) -> Told:
    """Run one benchmark; its progress goes to standard error, its Markdown comes back."""
    name, began = f"benchmarks.{part.module}", time.monotonic()
    if importlib.util.find_spec(name) is None:
        return Told(part=part, text="", wrong="is not there", seconds=0.0)
    child = subprocess.Popen(
        [sys.executable, "-m", name], cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        text, _ = child.communicate(timeout=part.most)
        wrong = f"ended with code {child.returncode}" if child.returncode else ""
    except subprocess.TimeoutExpired:
        text, wrong = _stopped(child), f"was stopped after {part.most:.0f} s"
    except BaseException:  # Ctrl-C, too, must end what was started
        _stopped(child)
        raise
    return Told(part=part, text=text.strip(), wrong=wrong, seconds=time.monotonic() - began)


def _stopped(child: subprocess.Popen[str]) -> str:
    """Interrupt a benchmark, so that it ends what it started; return what it had printed."""
    child.send_signal(signal.SIGINT)
    try:
        return child.communicate(timeout=STOP_SECONDS)[0]
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        return child.communicate()[0]


def report(all_told: Sequence[Told]) -> str:
    """Write the machine's description and every benchmark's answer as one document."""
    lines = ["# Benchmarks", "", machine.description(), "", "Medians and ratios of one run; synthetic studies."]
    for told in all_told:
        lines += ["", f"## {told.part.title}", "", f"`python -m benchmarks.{told.part.module}`, {told.seconds:.0f} s."]
        lines += ["", f"**{told.part.module} {told.wrong}.**"] if told.wrong else []
        lines += ["", told.text] if told.text else []
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Write the file after every benchmark, so that an end in between leaves what there is; 1 if one went wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=OUT)
    parser.add_argument("--only", nargs="+", choices=[part.module for part in PARTS], help="these alone")
    options = parser.parse_args(argv)
    wanted = [part for part in PARTS if not options.only or part.module in options.only]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    all_told: list[Told] = []
    for number, part in enumerate(wanted, 1):
        print(f"[{number}/{len(wanted)}] {part.module}", file=sys.stderr, flush=True)
        all_told.append(run(part))
        wrong = all_told[-1].wrong
        print(f"[{number}/{len(wanted)}] {part.module} {wrong or 'is done'}", file=sys.stderr, flush=True)
        options.out.write_text(report(all_told), encoding="utf-8")
    print(options.out)
    return 1 if any(told.wrong for told in all_told) else 0


if __name__ == "__main__":
    sys.exit(main())
