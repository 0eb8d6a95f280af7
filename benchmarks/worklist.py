"""Measure the worklist at a thousand and a million studies, on SQLite and PostgreSQL, over REST on a real socket.

`python -m benchmarks.worklist [--quick] [--studies 1000,100000,1000000] [--database sqlite|postgresql]` fills each
database in a temporary folder, serves it by the node's own REST process, and prints one Markdown table: p50 and p95 of
each request by one client that keeps its connection, and the ratio of p95 to that at the fewest studies. All sizes
take turns, so that whatever else the machine does falls on each alike. PostgreSQL comes with the wheels of the tests
(`make setup` alone brings SQLite).
"""

import argparse
import contextlib
import dataclasses
import datetime as dt
import http.client
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence

from benchmarks import filling, machine, questions
from triage import domain
from triage.db import assembly, session

FULL, QUICK = (1_000, 1_000_000), (1_000, 20_000)
PER_DAY = 500
WARM = 10
"""Turns that are not counted, for caches and plans to settle."""
WANTED_SECONDS = 0.020
"""What 95 of 100 pages must be under at the most studies."""
WANTED_RATIO = 2.0
START_SECONDS = 60.0
IDLE_SECONDS = 2.0
"""The server closes a connection that has been idle for 5 s."""
AGREE_SECONDS = 5.0
"""The node's word that spool and database agree, without which `low` is not served, is renewed so often."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timed:
    """Hold what a request took, in seconds, and how many studies it brought."""

    p50: float
    p95: float
    items: int


@dataclasses.dataclass(kw_only=True)
class Served:
    """Hold a filled database that is served, what to ask of it, and what that took, by name."""

    db: session.Database
    client: http.client.HTTPConnection
    asked: Sequence[questions.Question]
    taken: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    items: dict[str, int] = dataclasses.field(default_factory=dict)
    agreed_at: dt.datetime | None = None
    used: float = 0.0

    def agree(self) -> None:
        """Say that spool and database agree, as the assembler would; outside of what is timed."""
        now = domain.utc_now()
        if self.agreed_at is None or (now - self.agreed_at).total_seconds() > AGREE_SECONDS:
            assembly.agree(self.db, "benchmark", True, now)
            self.agreed_at = now

    def turn(self, question: questions.Question) -> None:
        """Ask once and note the seconds."""
        if time.perf_counter() - self.used > IDLE_SECONDS:
            self.client.close()
            self.client.connect()
        start = time.perf_counter()
        answer = questions.ask(self.client, question)
        self.used = time.perf_counter()
        self.taken.setdefault(question.name, []).append(self.used - start)
        self.items[question.name] = len(answer["items"])

    def timed(self) -> dict[str, Timed]:
        """Return each request's times without its first turns."""
        counted = {name: each[min(WARM, len(each) - 2) :] for name, each in self.taken.items()}
        return {
            name: Timed(p50=statistics.median(each), p95=statistics.quantiles(each, n=20)[-1], items=self.items[name])
            for name, each in counted.items()
        }


def main() -> int:
    """Print the table; return 1 where a page at the most studies misses 20 ms or twice its time at the fewest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="1,000 and 20,000 studies, 30 requests of a kind")
    parser.add_argument("--studies", default=None, help="how many studies, e.g. 1000,100000,1000000")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default=None, help="only one of the two")
    parser.add_argument("--repeat", type=int, default=None, help="requests of a kind")
    given = parser.parse_args()
    sizes = [int(part) for part in given.studies.split(",")] if given.studies else (QUICK if given.quick else FULL)
    repeat = given.repeat or (30 if given.quick else 60)
    found = {
        kind: measured(kind, sorted(sizes), repeat)
        for kind in ([given.database] if given.database else ["sqlite", "postgresql"])
    }
    print(table(found))
    wrong = missed(found)
    print(f"\n{repeat} requests of a kind; {machine.cores()} cores. ", end="")
    print("Missed: " + "; ".join(wrong) + "." if wrong else "Every page is within what is wanted.")
    return 1 if wrong and not given.quick else 0


def measured(kind: str, sizes: Sequence[int], repeat: int) -> dict[int, dict[str, Timed]]:
    """Fill and serve a database of each size, and time every request at each of them in turn."""
    with contextlib.ExitStack() as stack:
        served = {size: stack.enter_context(_served(kind, size)) for size in sizes}
        for _ in range(WARM + repeat):
            for one in served.values():
                one.agree()
            for each in zip(*(one.asked for one in served.values()), strict=True):
                for one, question in zip(served.values(), each, strict=True):
                    one.turn(question)
        return {size: one.timed() for size, one in served.items()}


@contextlib.contextmanager
def _served(kind: str, studies: int) -> Iterator[Served]:
    """Serve a filled database that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="cac-triage-bench-") as folder, _database(kind, folder) as url:
        begun = time.perf_counter()
        session.upgrade(url)
        filling.fill(url, studies, PER_DAY)
        _say(f"{kind}, {studies:,} studies: filled in {time.perf_counter() - begun:.0f} s")
        db = session.Database(url)
        try:
            assembly.agree(db, "benchmark", True, domain.utc_now())
            with _serving(url, pathlib.Path(folder)) as client:
                yield Served(db=db, client=client, asked=questions.of_size(client, studies, PER_DAY))
        finally:
            db.dispose()


@contextlib.contextmanager
def _database(kind: str, folder: str) -> Iterator[str]:
    """Give the URL of an empty database."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/cac-triage.sqlite"
        return
    sys.path.append(str(pathlib.Path(__file__).parents[1] / "tests"))
    import servers

    with servers.postgres() as url:
        yield url


@contextlib.contextmanager
def _serving(url: str, home: pathlib.Path) -> Iterator[http.client.HTTPConnection]:
    """Run the node's REST process on a free port of the loopback; give a client that keeps its connection."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CAC_TRIAGE_")}
    mine = {"HOME": str(home), "DATABASE_URL": url, "HTTP_PORT": str(port), "LOG_LEVEL": "ERROR"}
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "api"],
        env={**kept, **{f"CAC_TRIAGE_{name}": value for name, value in mine.items()}},
        stdout=sys.stderr,
    )
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        _await(client, process)
        yield client
    finally:
        client.close()
        process.terminate()
        process.wait(30)


def _await(client: http.client.HTTPConnection, process: subprocess.Popen[bytes]) -> None:
    """Wait until the process takes connections; RuntimeError where it does not."""
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        try:
            client.connect()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("the REST process did not start")


def table(found: Mapping[str, Mapping[int, Mapping[str, Timed]]]) -> str:
    """Return one Markdown table of all databases."""
    sizes = sorted(next(iter(found.values())))
    heads = "".join(f" {size:,}: p50 / p95 ms |" for size in sizes)
    lines = [
        f"| database | request | studies |{heads} p95 to that of {sizes[0]:,} |",
        f"|---|---|---|{'---|' * len(sizes)}---|",
    ]
    for kind, by_size in found.items():
        for name, timed in by_size[sizes[-1]].items():
            few = by_size[sizes[0]][name]
            cells = "".join(f" {1e3 * by_size[n][name].p50:.1f} / {1e3 * by_size[n][name].p95:.1f} |" for n in sizes)
            items = str(timed.items) if few.items == timed.items else f"{few.items} to {timed.items}"
            lines.append(f"| {kind} | {name} | {items} |{cells} {timed.p95 / few.p95:.2f} |")
    return "\n".join(lines)


def missed(found: Mapping[str, Mapping[int, Mapping[str, Timed]]]) -> list[str]:
    """Name the requests that miss what is wanted at the most studies.

    Only pages that hold as many studies at both sizes are compared: fifty lines cost more than one.
    """
    wrong = []
    for kind, by_size in found.items():
        fewest, most = by_size[min(by_size)], by_size[max(by_size)]
        for name, timed in most.items():
            few = fewest[name]
            if timed.p95 >= WANTED_SECONDS or (timed.items == few.items and timed.p95 > WANTED_RATIO * few.p95):
                wrong.append(f"{name} ({kind})")
    return wrong


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
