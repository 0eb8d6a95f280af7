"""Real worker processes behind real brokers: a ring becomes a result, and a dead worker costs seconds, not results."""

import contextlib
import pathlib
import signal
import threading
from collections.abc import Iterator

import psutil
import pytest
import servers
import working

from triage import domain, errors, queue
from triage.db import assembly, runs

EMBEDDED, SERVERS = "files and SQLite", "Redis and PostgreSQL"


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> list[list[pathlib.Path]]:
    folder = tmp_path_factory.mktemp("phantoms")
    return [working.phantom_files(folder / str(seed), seed=seed) for seed in (1, 2, 3)]


@pytest.fixture(params=["sqlite", "postgresql"], ids=[EMBEDDED, SERVERS])
def node(request: pytest.FixtureRequest, home: pathlib.Path) -> Iterator[working.Node]:
    changes: dict[str, object] = {"lease_seconds": 2.0, "task_seconds": 90.0}
    if request.param == "postgresql":
        changes["broker_url"] = request.getfixturevalue("redis_url")
        changes["database_url"] = _postgres(request)
    with working.node(home, **changes) as made, _assembling(made):
        yield made


def _postgres(request: pytest.FixtureRequest) -> str:
    url = request.getfixturevalue("postgres_url")
    name = f"crash_{request.node.originalname}"[:63]
    servers.ask(url, f"CREATE DATABASE {name} TEMPLATE migrated")
    return f"{url.rsplit('/', 1)[0]}/{name}"


@contextlib.contextmanager
def _assembling(node: working.Node) -> Iterator[None]:
    """Expire leases and ring as the assembler does, until the block ends."""
    app = queue.make_app(node.config.broker_url, node.config.home, task_seconds=node.config.task_seconds)
    ring, stop = queue.doorbell(app), threading.Event()

    def assemble() -> None:
        while not stop.wait(0.2):
            now = domain.utc_now()
            with contextlib.suppress(errors.StorageError):
                assembly.expire_leases(node.db, now, 4, node.rules)
                for uid in assembly.due(node.db, now, 2.0):
                    ring(uid)

    thread = threading.Thread(target=assemble)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        app.close()


def _done(node: working.Node, uid: str) -> bool:
    return node.newest(uid).phase is domain.RunPhase.DONE


def _child_at_work(process: int, node: working.Node, uid: str) -> psutil.Process:
    """Wait until a child of the worker holds the run; return it."""
    working.until(lambda: node.newest(uid).phase is domain.RunPhase.RUNNING)
    pid = int(node.newest(uid).worker.rpartition("/")[2])
    assert pid in {child.pid for child in psutil.Process(process).children(recursive=True)}
    return psutil.Process(pid)


def test_a_ring_becomes_a_result(node: working.Node, series: list[list[pathlib.Path]]) -> None:
    uid = working.queue_series(node, series[0])
    with working.worker(node.config):
        working.until(lambda: _done(node, uid))
    assert node.newest(uid).outcome is domain.Outcome.PRESENT


def test_a_child_killed_at_work_is_made_good_and_leaves_one_result(
    node: working.Node, series: list[list[pathlib.Path]]
) -> None:
    uid = working.queue_series(node, series[0])
    with working.worker(node.config, "slow-once") as process:
        _child_at_work(process.pid, node, uid).send_signal(signal.SIGKILL)
        working.until(lambda: _done(node, uid), 60)
    (only,) = node.history(uid)
    assert (only.outcome, only.attempt) == (domain.Outcome.PRESENT, 2)


def test_a_whole_worker_killed_at_work_is_made_good_by_another(
    node: working.Node, series: list[list[pathlib.Path]]
) -> None:
    uid = working.queue_series(node, series[0])
    with working.worker(node.config, "slow-once") as process:
        child = _child_at_work(process.pid, node, uid)
        process.kill()
        child.kill()
        process.wait(20)
        with working.worker(node.config):
            working.until(lambda: _done(node, uid), 60)
    (only,) = node.history(uid)
    assert only.outcome is domain.Outcome.PRESENT


def test_two_workers_share_series_and_each_has_one_result(node: working.Node, series: list[list[pathlib.Path]]) -> None:
    uids = [working.queue_series(node, files) for files in series]
    with working.worker(node.config), working.worker(node.config):
        working.until(lambda: all(_done(node, uid) for uid in uids), 60)
    assert [len(node.history(uid)) for uid in uids] == [1, 1, 1]


def test_a_task_over_its_time_is_ended_and_tried_again(home: pathlib.Path, series: list[list[pathlib.Path]]) -> None:
    with working.node(home, lease_seconds=2.0, task_seconds=4.0) as node, _assembling(node):
        uid = working.queue_series(node, series[0])
        with working.worker(node.config, "slow-once"):
            working.until(lambda: _done(node, uid), 60)
        assert node.newest(uid).attempt == 2


def test_a_worker_asked_to_stop_finishes_what_it_has(home: pathlib.Path, series: list[list[pathlib.Path]]) -> None:
    with working.node(home) as node, _assembling(node):
        uid = working.queue_series(node, series[0])
        with working.worker(node.config, "steady") as process:
            working.until(lambda: node.newest(uid).phase is domain.RunPhase.RUNNING)
            process.terminate()
            assert process.wait(30) == 0
        assert _done(node, uid)


def test_a_failed_self_test_takes_no_work(home: pathlib.Path, series: list[list[pathlib.Path]]) -> None:
    with working.node(home) as node, _assembling(node):
        uid = working.queue_series(node, series[0])
        with working.worker(node.config, "unproved") as process:
            assert process.wait(30) == 1
        assert node.newest(uid).phase is domain.RunPhase.QUEUED


def test_a_lease_is_renewed_for_a_task_longer_than_it(home: pathlib.Path, series: list[list[pathlib.Path]]) -> None:
    with working.node(home, lease_seconds=4.0) as node, _assembling(node):
        uid = working.queue_series(node, series[0])
        with working.worker(node.config, "steady"):
            working.until(lambda: _done(node, uid), 60)
        assert [run.attempt for run in runs.of_series(node.db, uid)] == [1]
