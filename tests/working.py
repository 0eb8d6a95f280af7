"""Workers for tests: a queued series, stand-in engines, and real Celery processes that use them."""

import contextlib
import dataclasses
import io
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pydicom

from cac import finding, reasons, volume
from cac.phantom import scan
from triage import domain, rules, settings, spool
from triage.db import arrivals, assembly, runs, session
from triage.dicom import headers, phantom_series

MODELS_HASH = "f" * 64


@dataclasses.dataclass
class Engine:
    """Accept every pixel that reaches 130 HU, or none, after as long a time as asked."""

    accepts: bool = dataclasses.field(default=True, kw_only=True)
    seconds: float = dataclasses.field(default=0.0, kw_only=True)

    provider = "stand-in"
    spec = finding.NetSpec(
        levels={plane: finding.Levels(low=0.2, high=0.8) for plane in finding.Plane},
        joint=finding.Joint(accept=0.5, other=0.5, speck=0.5),
        evaluation=finding.Evaluation.DENSE,  # few calls: each takes its time
    )

    def predict(self, plane: finding.Plane, stack: volume.FloatArray, core: finding.Core) -> volume.FloatArray:
        time.sleep(self.seconds)
        top, left, bottom, right = core
        return np.ascontiguousarray(stack[:, 1, top:bottom, left:right] * np.float32(self.accepts))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Node:
    """Hold a node's settings, database and spool, without any process."""

    config: settings.Settings
    db: session.Database
    spool: spool.Spool
    rules: rules.Rules

    def history(self, series_uid: str) -> list[runs.RunRecord]:
        return runs.of_series(self.db, series_uid)

    def newest(self, series_uid: str) -> runs.RunRecord:
        return self.history(series_uid)[-1]


@contextlib.contextmanager
def node(home: pathlib.Path, **changes: object) -> Iterator[Node]:
    """Make an empty node under `home`."""
    config = settings.load(home=home, **changes)
    home.mkdir(parents=True, exist_ok=True)
    session.upgrade(config.database)
    db = session.Database(config.database)
    try:
        yield Node(config=config, db=db, spool=spool.Spool(config.spool), rules=rules.from_settings(config))
    finally:
        db.dispose()


def phantom_files(folder: pathlib.Path, seed: int = 1, agatston: float = 60.0) -> list[pathlib.Path]:
    """Write a small phantom series, 3 mm slices."""
    style = scan.Style(matrix=256)
    made = scan.make(agatston=agatston, seed=seed, increment=3.0, style=style)
    return phantom_series.write_series(made, folder, seed=seed)


def to_bytes(image: pydicom.Dataset) -> bytes:
    """Encode an object as a DICOM file."""
    stream = io.BytesIO()
    image.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def queue_series(
    node: Node,
    files: list[pathlib.Path],
    *,
    extra: Sequence[domain.Instance] = (),
    missing: tuple[reasons.Reason, ...] = (),
) -> str:
    """Store and note files as the listener would, end the waiting as the assembler would; return the series UID."""
    now = domain.utc_now()
    noted = []
    for path in files:
        seen = headers.Header(path.read_bytes())
        stored = node.spool.store(
            seen.study_instance_uid, seen.series_instance_uid, seen.sop_instance_uid, path.read_bytes()
        )
        noted.append((seen.instance(stored), None))
    arrivals.note_many(node.db, [*noted, *((each, None) for each in extra)], node.rules, now)
    for snapshot in assembly.arriving(node.db, now):
        assert assembly.complete(node.db, snapshot, missing, node.rules, now)
    return noted[0][0].series_instance_uid


@contextlib.contextmanager
def worker(config: settings.Settings, mode: str = "fast") -> Iterator[subprocess.Popen[bytes]]:
    """Run a real worker process with a stand-in engine until the block ends; see `worker_entry`."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).parents[1])]),
        "CAC_TRIAGE_HOME": str(config.home),
        "CAC_TRIAGE_DATABASE_URL": config.database_url,
        "CAC_TRIAGE_BROKER_URL": config.broker_url,
        "CAC_TRIAGE_LEASE_SECONDS": str(config.lease_seconds),
        "CAC_TRIAGE_TASK_SECONDS": str(config.task_seconds),
    }
    log = config.home / f"worker-{time.monotonic_ns()}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "worker_entry", mode], env=environment, stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)
        sys.stderr.write(log.read_text(errors="replace"))


def until(met: Callable[[], object], seconds: float = 30.0) -> None:
    """Poll until a condition is met; fail after a deadline."""
    deadline = time.monotonic() + seconds
    while not met():
        if time.monotonic() > deadline:
            raise TimeoutError("the condition was not met in time")
        time.sleep(0.05)
