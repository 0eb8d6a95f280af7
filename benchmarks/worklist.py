"""Measure the worklist from a thousand to a million studies, on SQLite and PostgreSQL, over REST on a real socket.

`python -m benchmarks.worklist [--quick] [--studies 1000,100000,1000000] [--database sqlite|postgresql]` fills each
database in a temporary folder and prints one Markdown table: p50 and p95 of each request by one client that keeps its
connection, and the ratio of p95 to that at the fewest studies. PostgreSQL comes with the wheels of the tests
(`make setup` alone brings SQLite).
"""

import argparse
import contextlib
import dataclasses
import datetime as dt
import http.client
import json
import pathlib
import platform
import socket
import statistics
import sys
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import uvicorn

from benchmarks import filling
from service.api import app, deps
from triage.db import assembly, session

NOW = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
FIRST_DAY = dt.date.fromisoformat(filling.START)
PER_DAY = 500
WARM = 10
"""Requests of a kind that are not counted, for caches and plans to settle."""
WANTED_SECONDS = 0.020
"""What 95 of 100 pages must be under at a million studies."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """Name one request; a search by patient carries a body."""

    name: str
    path: str
    body: Mapping[str, str] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timed:
    """Hold what a request took, in seconds."""

    p50: float
    p95: float
    items: int


def main() -> int:
    """Print the table; return 1 where a page at the most studies misses 20 ms or twice its time at the fewest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="1,000 and 20,000 studies, 50 requests each")
    parser.add_argument("--studies", default=None, help="how many studies, e.g. 1000,100000,1000000")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default=None, help="only one of the two")
    parser.add_argument("--repeat", type=int, default=None, help="requests of a kind")
    given = parser.parse_args()
    sizes = sorted(int(part) for part in (given.studies or ("1000,20000" if given.quick else _FULL)).split(","))
    repeat = given.repeat or (50 if given.quick else 200)
    print(f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}; {repeat} requests each\n")
    missed = 0
    for kind in [given.database] if given.database else ["sqlite", "postgresql"]:
        found = {}
        for studies in sizes:
            with _database(kind) as url:
                found[studies] = _measured(url, studies, repeat)
        missed += _print(kind, found)
    return 1 if missed and not given.quick else 0


_FULL = "1000,10000,100000,1000000"


@contextlib.contextmanager
def _database(kind: str) -> Iterator[str]:
    """Give the URL of an empty database that is gone afterwards."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory(prefix="cac-triage-bench-") as folder:
            yield f"sqlite:///{folder}/cac-triage.sqlite"
        return
    sys.path.append(str(pathlib.Path(__file__).parents[1] / "tests"))
    import servers

    with servers.postgres() as url:
        yield url


def _measured(url: str, studies: int, repeat: int) -> dict[str, Timed]:
    """Fill a database, serve it, and time every request; requests of all kinds take turns."""
    begun = time.perf_counter()
    session.upgrade(url)
    filling.fill(url, studies, PER_DAY)
    filled, warm = time.perf_counter() - begun, min(WARM, repeat)
    with _serving(url) as client:
        requests = _requests(client, studies)
        taken: dict[str, list[float]] = {request.name: [] for request in requests}
        items = {}
        for turn in range(warm + repeat):
            for request in requests:
                start = time.perf_counter()
                answer = _ask(client, request)
                seconds = time.perf_counter() - start
                items[request.name] = len(answer["items"])
                if turn >= warm:
                    taken[request.name].append(seconds)
    place = urllib.parse.urlsplit(url).scheme.split("+")[0]
    print(f"{place}, {studies:,} studies: filled in {filled:.0f} s", file=sys.stderr)
    return {
        name: Timed(p50=statistics.median(each), p95=statistics.quantiles(each, n=20)[-1], items=items[name])
        for name, each in taken.items()
    }


def _requests(client: http.client.HTTPConnection, studies: int) -> list[Request]:
    """Return the requests; days are counted from both ends, so that they mean the same at every size."""
    last = FIRST_DAY + dt.timedelta(days=studies // PER_DAY)
    days = {back: (last - dt.timedelta(days=back)).isoformat() for back in (0, 1, 7, 90, 1000)}
    one = _ask(client, Request(name="", path="/worklist?limit=1"))["items"][0]
    asked = {
        "first page": "",
        "one priority": "priority=low",
        "one outcome": "outcome=absent",
        "a rare outcome": "outcome=failed",
        "outcome and priority": "outcome=absent&priority=routine",
        "accession number": f"accession={one['accession_number']}",
        "one day": f"date_from={days[1]}&date_to={days[1]}",
        "the last week": f"date_from={days[7]}",
        "the last 90 days": f"date_from={days[90]}",
        "the last 1,000 days": f"date_from={days[1000]}",
        "until a week ago": f"date_to={days[7]}",
        "the last 90 days, absent": f"date_from={days[90]}&outcome=absent",
    }
    requests = [Request(name=name, path=f"/worklist?{query}") for name, query in asked.items()]
    cursor = _deep(client, studies)
    requests += [
        Request(name="a deep page", path=f"/worklist?cursor={cursor}"),
        Request(name="a deep page of 90 days", path=f"/worklist?date_from={days[90]}&cursor={cursor}"),
        Request(name="patient's number", path="/worklist/search", body={"patient_id": one["patient_id"]}),
        Request(name="patient's name", path="/worklist/search", body={"patient_name": one["patient_name"]}),
        Request(name="a name's first letter", path="/worklist/search", body={"patient_name": "b"}),
        Request(name="changes", path=f"/changes?since={studies - 100}&limit=50"),
    ]
    return requests


def _deep(client: http.client.HTTPConnection, studies: int) -> str:
    """Return the cursor that a page in the middle would have given, from the first page's own."""
    import base64

    cursor = _ask(client, Request(name="", path="/worklist?limit=1"))["next"]
    _, _, uid = json.loads(base64.urlsafe_b64decode(cursor))
    middle = dt.datetime.combine(FIRST_DAY, dt.time(), dt.UTC) + dt.timedelta(days=studies / PER_DAY / 2)
    return base64.urlsafe_b64encode(json.dumps([1, middle.isoformat(), uid]).encode()).decode()


def _ask(client: http.client.HTTPConnection, request: Request) -> dict[str, Any]:
    body = None if request.body is None else json.dumps(request.body)
    headers = {} if body is None else {"Content-Type": "application/json"}
    client.request("GET" if body is None else "POST", f"/api/v1{request.path}", body, headers)
    answer = client.getresponse()
    text = answer.read()
    assert answer.status == 200, (request.name, text)
    found: dict[str, Any] = json.loads(text)
    return found


@contextlib.contextmanager
def _serving(url: str) -> Iterator[http.client.HTTPConnection]:
    """Serve the application on a free port of the loopback; give a client that keeps its connection."""
    db = session.Database(url)
    assembly.agree(db, "benchmark", True, NOW)
    nowhere = pathlib.Path(tempfile.gettempdir())
    desk = deps.Desk(db=db, spool=nowhere, results=nowhere, min_free_bytes=1, clock=lambda: NOW)
    config = uvicorn.Config(app.create_app(desk), log_config=None, access_log=False, ws="none", lifespan="off")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        client = http.client.HTTPConnection("127.0.0.1", listener.getsockname()[1], timeout=60)
        try:
            yield client
        finally:
            client.close()
            server.should_exit = True
            thread.join()
            db.dispose()


def _print(kind: str, found: Mapping[int, Mapping[str, Timed]]) -> int:
    """Print a database's rows; return how many requests miss what is wanted at the most studies."""
    sizes: Sequence[int] = sorted(found)
    fewest, most = sizes[0], sizes[-1]
    if not _printed:
        heads = "".join(f" {studies:,}: p50 / p95 ms |" for studies in sizes)
        print(
            f"| database | request | items |{heads} p95 to that of {fewest:,} |\n|---|---|---|{'---|' * len(sizes)}---|"
        )
        _printed.append(kind)
    missed = 0
    for name, timed in found[most].items():
        cells = "".join(f" {1e3 * found[n][name].p50:.1f} / {1e3 * found[n][name].p95:.1f} |" for n in sizes)
        ratio = timed.p95 / found[fewest][name].p95
        missed += timed.p95 >= WANTED_SECONDS or (ratio > 2 and timed.items == found[fewest][name].items)
        print(f"| {kind} | {name} | {timed.items} |{cells} {ratio:.2f} |", flush=True)
    return missed


_printed: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
