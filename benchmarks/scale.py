"""How much faster two workers drain a backlog than one, each with one thread on one core: Redis and PostgreSQL.

`python -m benchmarks.scale` starts the servers that the tests use, from their wheels, and prints a table.
"""

import argparse
import contextlib
import dataclasses
import importlib
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks import machine, studies
from triage import domain, rules, settings, spool
from triage.db import arrivals, runs, session
from triage.dicom import headers

ROOT = pathlib.Path(__file__).parents[1]
WARM_SECONDS = 240.0
LEAST, MOST = 8, 40
KINDS = tuple(kind for kind in studies.KINDS if kind.increment == 3.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Drained:
    """Hold how a backlog was drained: by how many workers, and from the first lease to the last end, in seconds.

    `each` is what a study cost its worker, in seconds, in the mean; `again` counts runs that took two leases.
    """

    workers: int
    studies: int
    seconds: float
    each: float
    again: int

    @property
    def rate(self) -> float:
        """Return the studies a minute."""
        return 60.0 * self.studies / self.seconds


class Bench:
    """Hold a node without its listener: settings, database, spool, and the processes that work on them."""

    def __init__(self, config: settings.Settings, following: Callable[[], studies.Study]) -> None:
        self._config, self._following = config, following
        session.upgrade(config.database)
        self._db = session.Database(config.database)
        self._spool = spool.Spool(config.spool)
        self._rules = rules.from_settings(config)

    def close(self) -> None:
        """Let go of the database."""
        self._db.dispose()

    @contextlib.contextmanager
    def working(self, workers: int) -> Iterator[None]:
        """Run an assembler and so many workers, each on a core of its own, until the block ends."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._role("assemble"))
            for number in range(workers):
                machine.pin(stack.enter_context(self._role("work")), number)
            yield

    def backlog(self, count: int) -> list[str]:
        """Store and note studies as the listener would, all of them complete; return their series."""
        made = []
        for _ in range(count):
            study, noted = self._following(), []
            for content in study.files:
                seen = headers.Header(content)
                uids = (seen.study_instance_uid, seen.series_instance_uid, seen.sop_instance_uid)
                noted.append((seen.instance(self._spool.store(*uids, content)), None))
            made.append((study.series_uid, noted))
        # All at once, so that the workers find a backlog and not a trickle; settled since long.
        at = domain.utc_now().replace(microsecond=0)
        for _, noted in made:
            arrivals.note_many(self._db, noted, self._rules, at)
        return [series for series, _ in made]

    def drained(self, series: Sequence[str], seconds: float) -> list[runs.RunRecord]:
        """Wait until every series has an end; return the runs. TimeoutError after so many seconds."""
        end = time.monotonic() + seconds
        ended: list[runs.RunRecord] = []
        while len(ended) < len(series):
            if time.monotonic() > end:
                raise TimeoutError(f"{len(ended)} of {len(series)} series had an end within {seconds:.0f} s")
            # One at a time, in order: asking for all of them would take a good part of a core.
            past = runs.of_series(self._db, series[len(ended)])
            if past and past[-1].ended_at is not None:
                ended.append(past[-1])
                print(f"\r{len(ended)} of {len(series)} studies", end=" ", file=sys.stderr, flush=True)
            else:
                time.sleep(0.5)
        print(file=sys.stderr, flush=True)
        return ended

    @contextlib.contextmanager
    def _role(self, name: str) -> Iterator[int]:
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("CAC_TRIAGE_")},
            "PYTHONPATH": str(ROOT),
            **{f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")},
            "CAC_TRIAGE_HOME": str(self._config.home),
            "CAC_TRIAGE_DATABASE_URL": self._config.database_url,
            "CAC_TRIAGE_BROKER_URL": self._config.broker_url,
            "CAC_TRIAGE_MODELS": str(self._config.models),
            "CAC_TRIAGE_THREADS": "1",
            "CAC_TRIAGE_LOG_LEVEL": "WARNING",
        }
        process = subprocess.Popen(
            # The lifeline ends the role with this process, however that ends.
            [sys.executable, "-m", "cli.main", name, "--lifeline"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=sys.stderr,
        )
        try:
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdin is not None:
                process.stdin.close()


def drain(bench: Bench, workers: int, count: int, seconds: float) -> Drained:
    """Warm the workers up with a study each and two more, then let them drain `count` studies.

    A `count` of 0 takes as many as one worker does in about 80 s, as the warming up tells.
    """
    with bench.working(workers):
        warm = [run for run in bench.drained(bench.backlog(workers + 2), WARM_SECONDS) if run.started_at]
        if not count:
            quickest = min(_busy(run) for run in warm)
            count = max(LEAST, min(MOST, 2 * round(40 / quickest)))
        print(f"{workers} workers, {count} studies", file=sys.stderr, flush=True)
        done = bench.drained(bench.backlog(count), seconds)
    first = min(run.started_at or run.created_at for run in done)
    last = max(run.ended_at or run.created_at for run in done)
    return Drained(
        workers=workers,
        studies=count,
        seconds=(last - first).total_seconds(),
        each=sum(_busy(run) for run in done) / count,
        again=sum(run.attempt > 1 for run in done),
    )


def table(all_drained: Sequence[Drained]) -> str:
    """Write the drained backlogs and the ratio of their rates as Markdown."""
    lines = ["| workers | studies | seconds | studies a minute | s a study and worker | leased twice |"]
    lines.append("|---|---|---|---|---|---|")
    lines += [
        f"| {one.workers} | {one.studies} | {one.seconds:.1f} | {one.rate:.1f} | {one.each:.2f} | {one.again} |"
        for one in all_drained
    ]
    return "\n".join([*lines, "", f"Two workers to one: **{ratio(all_drained):.2f}** (wanted: at least 1.8)."])


def ratio(all_drained: Sequence[Drained]) -> float:
    """Return the mean rate of two workers by that of one."""
    mean = {
        workers: sum(of) / len(of)
        for workers in (1, 2)
        if (of := [one.rate for one in all_drained if one.workers == workers])
    }
    return mean[2] / mean[1]


def _busy(run: runs.RunRecord) -> float:
    return ((run.ended_at or run.created_at) - (run.started_at or run.created_at)).total_seconds()


def _servers() -> Any:
    """Return the module with which the tests start their servers."""
    sys.path.insert(0, str(ROOT / "tests"))
    return importlib.import_module("servers")


def measure(options: argparse.Namespace, folder: pathlib.Path) -> list[Drained]:
    """Drain backlogs with one and with two workers in turn, each on a fresh database."""
    servers, following = _servers(), studies.endless(studies.make(KINDS))
    found: list[Drained] = []
    with servers.postgres() as postgres, servers.redis() as redis:
        for number, workers in enumerate((1, 2, 2, 1)[: 2 * options.rounds]):
            servers.ask(postgres, f"CREATE DATABASE bench_{number}")
            changes: Mapping[str, object] = {
                "home": folder / str(number),
                "database_url": f"{postgres.rsplit('/', 1)[0]}/bench_{number}",
                "broker_url": f"{redis.rsplit('/', 1)[0]}/{number}",
            }
            bench = Bench(settings.load(**changes), following)
            try:
                count = options.studies or (found[0].studies if found else 0)
                found.append(drain(bench, workers, count, options.seconds))
            finally:
                bench.close()
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; return 1 where two workers do not help as they should."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--studies", type=int, default=0, help="studies in a backlog; 0: as many as take 80 s")
    parser.add_argument("--rounds", type=int, choices=(1, 2), default=1, help="2: one, two, two, one worker")
    parser.add_argument("--seconds", type=float, default=400.0, help="the longest that a backlog may take")
    options = parser.parse_args(argv)
    if machine.cores() < 2:
        print("Two cores are needed: two workers would share one.", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="cac-triage-bench-") as folder:
        found = measure(options, pathlib.Path(folder))
    print("Phantoms 512 x 512 at 3 mm, half without calcium; each worker has one thread and one core. PostgreSQL and a")
    print("Redis-compatible server run on the same cores.\n")
    print(table(found))
    return 0 if ratio(found) >= 1.8 else 1


if __name__ == "__main__":
    sys.exit(main())
