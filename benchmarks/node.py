"""Time from a study's last slice to its flag over REST, at a rising rate of studies, on one core for the worker.

`python -m benchmarks.node` runs a whole node as `cac-triage up` does, with the shipped nets, and prints a table.
"""

import argparse
import concurrent.futures
import dataclasses
import pathlib
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence

from benchmarks import embedded, machine, studies
from triage.db import runs, session, timings
from triage.dicom import sending

SETTLE_SECONDS = 2.0
GRACE_SECONDS = 60.0
"""How long after the last study of a level its flags are waited for."""
LATE_SECONDS = 15.0
"""No rate is sustained whose 95th percentile is later than this."""
RISING = (0.7, 0.85, 1.0, 1.1)
FALLING = (0.9, 0.75, 0.6)
"""The rates tried beside the first, in parts of what the worker's own time would allow."""
NEED_BYTES = 10 << 30
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")} | {
    "CAC_TRIAGE_THREADS": "1",
    "CAC_TRIAGE_LOG_LEVEL": "WARNING",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sent:
    """Hold what one study went through; moments in seconds since the epoch, None where no flag was seen in time."""

    study: studies.Study
    late: float
    last_slice_at: float
    seen_at: float | None

    @property
    def seconds(self) -> float:
        """Return the time from the hand-over of the last slice to the flag seen over REST; infinite without one."""
        return float("inf") if self.seen_at is None else self.seen_at - self.last_slice_at


@dataclasses.dataclass(frozen=True, kw_only=True)
class Level:
    """Hold what one rate (studies a minute) came to, in the order of sending; `steps` in seconds, one a study."""

    rate: float
    sent: Sequence[Sent]
    steps: Sequence[Mapping[str, float]]

    @property
    def times(self) -> list[float]:
        """Return each study's time to flag in seconds."""
        return [each.seconds for each in self.sent]

    @property
    def sustained(self) -> bool:
        """Tell whether the rate can go on: every flag came, none late, and the wait does not grow."""
        return not grows(self.times) and studies.quantile(self.times, 0.95) <= LATE_SECONDS


def grows(times: Sequence[float]) -> bool:
    """Tell whether the last third of the studies waited longer than the first: by a quarter, and by 1.5 s."""
    third = max(len(times) // 3, 1)
    first, last = statistics.mean(times[:third]), statistics.mean(times[-third:])
    return last == float("inf") or last > max(first * 1.25, first + 1.5)


def send(node: embedded.Node, study: studies.Study, due: float, folder: pathlib.Path) -> tuple[float, float]:
    """Send a study at its time; return by how much that was late, and when the last slice was handed over."""
    paths = study.write(folder / study.study_uid)
    marks = [time.time()]
    try:
        time.sleep(max(due - time.time(), 0))
        late = time.time() - due
        report = sending.send(
            paths, node.target, calling="BENCH", on_progress=lambda done, of: marks.append(time.time())
        )
        if report.failed:
            raise RuntimeError(f"{len(report.failed)} images were refused: {report.failed[0].text}")
    finally:
        shutil.rmtree(folder / study.study_uid, ignore_errors=True)
    return late, marks[-2]  # the answer to the last but one: from then on the last was on its way


def run_level(
    node: embedded.Node, following: Callable[[], studies.Study], rate: float, count: int, folder: pathlib.Path
) -> Level:
    """Send `count` studies evenly at `rate` a minute and wait for their flags."""
    start = time.time() + 1.0
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        waiting = []
        for number in range(count):
            due = start + number * 60.0 / rate
            time.sleep(max(due - 1.0 - time.time(), 0))  # a study is made a second before it is due
            study = following()
            waiting.append((study, pool.submit(send, node, study, due, folder)))
            print(f"\r{rate:.1f} studies a minute: {number + 1} of {count}", end=" ", file=sys.stderr, flush=True)
        moments = [(study, *future.result()) for study, future in waiting]
    end = time.time() + GRACE_SECONDS
    sent = [
        Sent(study=study, late=late, last_slice_at=last, seen_at=node.seen_at(study.study_uid, end))
        for study, late, last in moments
    ]
    level = Level(rate=rate, sent=sent, steps=_steps(node, sent))
    print(f"p95 {studies.quantile(level.times, 0.95):.1f} s", file=sys.stderr, flush=True)
    return level


def _steps(node: embedded.Node, sent: Sequence[Sent]) -> list[Mapping[str, float]]:
    """Return each flagged study's steps, with what no row holds: the last slice's way in and the flag's way out."""
    db = session.Database(node.database)
    found: list[Mapping[str, float]] = []
    try:
        for each in sent:
            if each.seen_at is None:
                continue
            newest = runs.of_series(db, each.study.series_uid)[-1]
            (run,) = timings.finished(db, [newest.id])
            total = run.time_to_flag or 0.0
            found.append({**run.steps(SETTLE_SECONDS), "network, REST": each.seconds - total})
    finally:
        db.dispose()
    return found


def service_seconds(level: Level) -> float:
    """Return what a study costs the worker, in seconds: every step after the queue (median of a level)."""
    before = ("settle", "assemble", "queue", "network, REST")
    return statistics.median(
        sum(seconds for name, seconds in steps.items() if name not in before) for steps in level.steps
    )


def rates(first: float, allowed: float, *, rising: bool) -> list[float]:
    """Return the rates to try after the first (studies a minute), where the worker's own time allows so many."""
    if rising:
        return [part * allowed for part in RISING if part * allowed > first]
    return [part * min(first, allowed) for part in FALLING]


def measure(node: embedded.Node, options: argparse.Namespace, folder: pathlib.Path) -> list[Level]:
    """Run the first rate, then others until one is too high, or one low enough where the first was too high."""
    following = studies.endless(studies.make())
    warm = following()
    send(node, warm, time.time(), folder)
    if node.seen_at(warm.study_uid, time.time() + embedded.START_SECONDS) is None:
        raise RuntimeError("the first study never got a flag")
    machine.pin(node.role("work"), -1)
    node.text("/metrics")  # from here on its runs are counted
    end = time.monotonic() + options.minutes * 60
    first = run_level(node, following, options.rate, options.first, folder)
    levels = [first]
    if not first.steps:
        return levels
    for rate in rates(options.rate, 60.0 / service_seconds(first), rising=first.sustained):
        count = min(options.most, max(6, round(rate * options.seconds / 60)))
        if time.monotonic() + count * 60 / rate > end:
            print("no time is left for another rate", file=sys.stderr, flush=True)
            break
        levels.append(run_level(node, following, rate, count, folder))
        if levels[-1].sustained is not first.sustained:
            break
    return levels


def table(levels: Sequence[Level]) -> str:
    """Write what the levels came to as Markdown."""
    lines = [
        "| studies a minute | studies | p50 (s) | p95 (s) | p99 (s) | sustained | flags seen |",
        "|---|---|---|---|---|---|---|",
    ]
    for level in levels:
        numbers = " | ".join(f"{studies.quantile(level.times, part):.2f}" for part in (0.5, 0.95, 0.99))
        seen = sum(each.seen_at is not None for each in level.sent)
        lines.append(
            f"| {level.rate:.1f} | {len(level.sent)} | {numbers} | {'yes' if level.sustained else 'no'} | {seen} |"
        )
    return "\n".join([*lines, "", *_verdict(levels), "", *_shares(levels[0])])


def _verdict(levels: Sequence[Level]) -> list[str]:
    late = max(each.late for level in levels for each in level.sent)
    said = [f"The sender was at most {late:.1f} s late. "] if late > 0.5 else []
    sustained = [level for level in levels if level.sustained]
    if not sustained:
        return [*said, "**No rate that was tried is sustained.**"]
    highest = max(sustained, key=lambda level: level.rate)
    judged = min((highest, levels[0]), key=lambda level: level.rate) if levels[0].sustained else highest
    p95, top = (studies.quantile(level.times, 0.95) for level in (judged, highest))
    return [
        *said,
        f"Highest rate that one core sustained: **{highest.rate:.1f} studies a minute**, p95 {top:.2f} s there "
        f"(wanted: at most {LATE_SECONDS:.0f} s). p95 at {judged.rate:.1f} a minute: **{p95:.2f} s** (wanted: at most "
        "7 s).",
    ]


def _shares(level: Level) -> list[str]:
    lines = [f"| step, at {level.rate:.1f} a minute | p50 (s) | p95 (s) | share of the mean |", "|---|---|---|---|"]
    names = list(dict.fromkeys(name for steps in level.steps for name in steps))
    total = sum(sum(steps.values()) for steps in level.steps)
    for name in names:
        values = [steps.get(name, 0.0) for steps in level.steps]
        p50, p95 = studies.quantile(values, 0.5), studies.quantile(values, 0.95)
        lines.append(f"| {name} | {p50:.3f} | {p95:.3f} | {100 * sum(values) / total:.1f} % |")
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables; return 1 where no rate was sustained."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.node", description=__doc__)
    parser.add_argument("--rate", type=float, default=6.0, help="studies a minute at first")
    parser.add_argument("--first", type=int, default=20, help="studies at the first rate")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each later rate is kept up")
    parser.add_argument("--most", type=int, default=40, help="most studies at a later rate")
    parser.add_argument("--minutes", type=float, default=7.0, help="no new rate is begun that would end later")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="cac-triage-bench-") as name:
        folder = pathlib.Path(name)
        if shutil.disk_usage(folder).free < NEED_BYTES:
            print(f"{NEED_BYTES >> 30} GiB of free disk are needed in {folder.parent}", file=sys.stderr)
            return 1
        with embedded.running(folder / "home", ONE_THREAD) as node:
            levels = measure(node, options, folder)
            counted = [line for line in node.text("/metrics").splitlines() if "time_to_flag_seconds_count" in line]
    print(
        f"Phantoms 512 x 512, half 3 mm and half 1.5 mm, half without calcium; {machine.cores()} cores, the worker on"
    )
    print("one of them with one thread. From the hand-over of the last slice to the flag seen by asking `changes`")
    print("every 0.1 s.\n")
    print(table(levels))
    told, asked = (counted or ["0"])[0].rsplit(" ", 1)[-1], sum(len(level.steps) for level in levels)
    print(f"\n`/metrics` counted {told} of the {asked} flags seen.")
    return 0 if any(level.sustained for level in levels) else 1


if __name__ == "__main__":
    sys.exit(main())
