"""Measure receiving: the same phantom slices by DCMTK's dcmsend to this node and to its peers, over one and four lines.

`python -m benchmarks.receive [--quick]` alternates the receivers, and prints medians with their spread, the answer
times while a core computes, and the listener's memory over many associations. Everything stays on the loopback.
"""

import argparse
import dataclasses
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence

from benchmarks import receivers, senders
from cac.phantom import scan
from triage.dicom import phantom_series

LINES = (1, 4)
TARGETS = (("durable / Orthanc", "orthanc", 3.0), ("durable / our own unsynced", "unsynced", 0.8))
AIM = {1: 150.0, 4: 210.0}
MOST_MILLISECONDS = 150.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """Hold how much is measured: slices a study, studies a run, runs, associations for the memory, a run's seconds."""

    slices: int
    studies: int
    runs: int
    associations: int
    most_seconds: float = 120.0


QUICK = Plan(slices=24, studies=4, runs=2, associations=200)
FULL = Plan(slices=60, studies=4, runs=3, associations=10_000)


def phantoms(folder: pathlib.Path, plan: Plan) -> list[list[pathlib.Path]]:
    """Write the studies once: 512 x 512, 525 kB a slice; each study is one line's share."""
    phantom = scan.make(agatston=0, seed=11, increment=1.5)
    studies = []
    for number in range(plan.studies):
        header = phantom_series.Header(key=str(number))
        paths = phantom_series.write_series(phantom, folder / str(number), seed=11, header=header)
        for left in paths[plan.slices :]:
            left.unlink()
        studies.append(paths[: plan.slices])
    return studies


def rate(kind: str, studies: Sequence[Sequence[pathlib.Path]], lines: int, plan: Plan) -> float:
    """Return images a second that one fresh receiver takes over so many associations at once."""
    with (
        tempfile.TemporaryDirectory(prefix="cac-triage-receive-") as folder,
        receivers.running(kind, pathlib.Path(folder)) as peer,
    ):
        shares = [[path for study in studies[line::lines] for path in study] for line in range(lines)]
        start = time.monotonic()
        senders.dcmsend(shares, peer, plan.most_seconds)
        seconds = time.monotonic() - start
        sent = sum(map(len, shares))
        assert peer.kept() == sent, f"{kind} kept {peer.kept()} of {sent}"
    return sent / seconds


def rates(kinds: Sequence[str], studies: list[list[pathlib.Path]], plan: Plan) -> dict[tuple[str, int], list[float]]:
    """Measure every receiver at every number of lines, in turns, so that a slow minute meets all alike."""
    found: dict[tuple[str, int], list[float]] = {(kind, lines): [] for lines in LINES for kind in kinds}
    for run in range(plan.runs):
        for kind, lines in sorted(found, key=lambda key: (key[1], kinds.index(key[0])), reverse=bool(run % 2)):
            found[kind, lines].append(rate(kind, studies, lines, plan))
            receivers.say(f"run {run + 1}/{plan.runs}  {kind} x{lines}: {found[kind, lines][-1]:.0f} images/s")
    return found


def table(found: dict[tuple[str, int], list[float]], kinds: Sequence[str]) -> list[str]:
    """Return the rates as Markdown."""
    rows = ["| receiver | " + " | ".join(f"{lines} association(s), images/s" for lines in LINES) + " |"]
    rows.append("|---|" + "---|" * len(LINES))
    for kind in kinds:
        cells = [
            f"{statistics.median(all_):.0f} ({min(all_):.0f}-{max(all_):.0f})"
            for all_ in (found[kind, lines] for lines in LINES)
        ]
        rows.append(f"| {receivers.NAMES[kind]} | {' | '.join(cells)} |")
    return rows


def verdicts(found: dict[tuple[str, int], list[float]]) -> list[str]:
    """Compare the medians with what must hold."""
    said = []
    for lines in LINES:
        medians = {kind: statistics.median(all_) for (kind, at), all_ in found.items() if at == lines}
        for name, against, least in TARGETS:
            if against in medians:
                ratio = medians["synced"] / medians[against]
                said.append(f"| {name}, {lines} association(s) | {ratio:.2f} | >= {least:g} | {_met(ratio >= least)} |")
        said.append(
            f"| durable images/s, {lines} association(s) | {medians['synced']:.0f} | aim {AIM[lines]:.0f} | "
            f"{_met(medians['synced'] >= AIM[lines])} |"
        )
    return said


def busy(studies: list[list[pathlib.Path]], plan: Plan) -> list[str]:
    """Time every C-STORE answer of one association, at rest and while a worker's share of the machine computes."""
    said = []
    for name, hogs in (("at rest", 0), ("while a worker computes", 1)):
        with (
            tempfile.TemporaryDirectory(prefix="cac-triage-receive-") as folder,
            receivers.running("synced", pathlib.Path(folder)) as peer,
            receivers.hogs(hogs),
        ):
            times = senders.answer_times([path for study in studies for path in study], peer, plan.most_seconds)
        p50, p99 = (1000 * senders.percentile(times, share) for share in (0.5, 0.99))
        met = _met(p99 < MOST_MILLISECONDS) if hogs else ""
        said.append(f"| C-STORE answer {name}, p50 / p99 | {p50:.0f} / {p99:.0f} ms | p99 < 150 ms | {met} |")
    return said


def memory(studies: list[list[pathlib.Path]], plan: Plan) -> list[str]:
    """Follow the listener's resident memory over many associations; all echo, every twentieth stores a slice."""
    with (
        tempfile.TemporaryDirectory(prefix="cac-triage-receive-") as folder,
        receivers.running("synced", pathlib.Path(folder)) as peer,
    ):
        seen = senders.many(peer, studies[0], plan.associations, max(0.12 * plan.associations, 60.0))
    settled, last = seen[len(seen) // 2], seen[-1]  # caches fill in the first half
    grown = last - settled
    path = " -> ".join(f"{value:.0f}" for value in seen[:: max(len(seen) // 5, 1)])
    return [
        f"| memory over {plan.associations} associations | {path} MiB; second half {grown:+.1f} MiB | flat (< 5 %) "
        f"| {_met(grown < 0.05 * settled)} |"
    ]


def costs(studies: list[list[pathlib.Path]], plan: Plan) -> list[str]:
    """Say what holds us back: processor time an image, by the kernel's own count, and what the syncs take."""
    said = []
    for kind in ("synced", "unsynced"):
        with (
            tempfile.TemporaryDirectory(prefix="cac-triage-receive-") as folder,
            receivers.running(kind, pathlib.Path(folder)) as peer,
        ):
            paths = [path for study in studies for path in study]
            before, start = peer.processor_seconds(), time.monotonic()
            senders.dcmsend([paths], peer, plan.most_seconds)
            wall, used = time.monotonic() - start, peer.processor_seconds() - before
        said.append(
            f"| {kind}, one association: an image takes | {1000 * wall / len(paths):.1f} ms, of them "
            f"{1000 * used / len(paths):.1f} ms of the listener's processor | | |"
        )
    return said


def _met(met: bool) -> str:
    return "yes" if met else "**no**"


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two minutes instead of six")
    parser.add_argument("--associations", type=int, help="how many for the memory; 10000 if not --quick")
    parser.add_argument("--only", nargs="*", choices=["rates", "busy", "memory", "costs"], help="these parts alone")
    options = parser.parse_args()
    plan = QUICK if options.quick else FULL
    if options.associations is not None:
        plan = dataclasses.replace(plan, associations=options.associations)
    kinds = [kind for kind in receivers.NAMES if receivers.there(kind)]
    parts: dict[str, Callable[[list[list[pathlib.Path]], Plan], list[str]]] = {
        "costs": costs,
        "busy": busy,
        "memory": memory,
    }
    wanted = options.only or ["rates", *parts]
    with tempfile.TemporaryDirectory(prefix="cac-triage-receive-") as folder:
        studies = phantoms(pathlib.Path(folder), plan)
        lines: list[str] = []
        if "rates" in wanted:
            found = rates(kinds, studies, plan)
            print("\n".join([receivers.machine(), "", *table(found, kinds), ""]), flush=True)
            lines += verdicts(found)
        for name, measure in parts.items():
            if name in wanted:
                lines += measure(studies, plan)
    print("\n".join(["| what | measured | wanted | met |", "|---|---|---|---|", *lines]))


if __name__ == "__main__":
    main()
