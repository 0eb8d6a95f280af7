"""The worker process: settings become one bench a child process, and one task does the work.

The parent only watches the queue: the nets are opened in the child, for sessions do not survive a fork.
"""

import contextlib
import functools
import multiprocessing
import os
import socket
import warnings
from collections.abc import Callable
from multiprocessing import connection
from typing import TypeAlias

import celery
from celery import platforms, signals

from cac import finding
from triage import errors, logs, queue, rules, settings, spool
from triage.db import session
from worker import analyse, inference, triage_series

SELF_TEST_SECONDS = 300.0

EngineFactory: TypeAlias = Callable[[settings.Settings], tuple[analyse.Engine, str]]
"""Open the nets: the engine, and the hash of all that decides its answer."""

Proof: TypeAlias = Callable[[settings.Settings], None]
"""Open the nets and raise ModelError unless they find what they must."""

log = logs.get(__name__)


def open_engine(config: settings.Settings) -> tuple[analyse.Engine, str]:
    """Open the nets that the manifest pins; ModelError."""
    engine = inference.from_settings(config)
    return engine, engine.model_set.digest(finding.Profile.DEFAULT)


def prove_engine(config: settings.Settings) -> None:
    """Run the self-test of the nets that the manifest pins; ModelError unless its case comes out PRESENT."""
    inference.self_test(inference.from_settings(config))


def build(config: settings.Settings, factory: EngineFactory = open_engine) -> celery.Celery:
    """Build the Celery application with its one task."""
    app = queue.make_app(config.broker_url, config.home, task_seconds=config.task_seconds)
    bench = functools.cache(lambda: make_bench(config, factory))

    @app.task(name=queue.TASK)  # type: ignore[untyped-decorator]
    def triage_series_task(series_uid: str) -> None:
        try:
            triage_series.triage(series_uid, bench())
        except errors.TriageError as exc:
            log.error("The run could not be started; it stays queued.", action="not_started", why=str(exc))

    def warm(**_: object) -> None:
        # The first study must not wait for the nets to open. What is wrong with them, each task says.
        with contextlib.suppress(errors.TriageError):
            bench()

    signals.worker_process_init.connect(warm, weak=False)
    return app


def make_bench(config: settings.Settings, factory: EngineFactory = open_engine) -> triage_series.Bench:
    """Open everything a worker works with, in the process that works."""
    engine, models_hash = factory(config)
    return triage_series.Bench(
        db=session.Database(config.database),
        spool=spool.Spool(config.spool),
        results=config.results,
        rules=rules.from_settings(config),
        engine=engine,
        models_hash=models_hash,
        worker=f"{socket.gethostname()}/{os.getpid()}",
        lease_seconds=config.lease_seconds,
        max_attempts=config.max_attempts,
    )


def run(config: settings.Settings, factory: EngineFactory = open_engine, prove: Proof = prove_engine) -> int:
    """Consume the queue until told to stop, once the nets have passed their self-test; return the exit code.

    Raises ModelError where they do not.
    """
    test_in_child(config, prove)
    # Connecting a receiver is how Celery is told to leave logging alone; a weak one would be gone at once.
    signals.setup_logging.connect(_keep_logging, weak=False)
    # Celery fears root because messages could carry code; here they are JSON with one UID.
    warnings.filterwarnings("ignore", category=platforms.SecurityWarning)
    worker = build(config, factory).Worker(
        quiet=True,
        pool="prefork",
        concurrency=1,
        hostname=f"triage-{os.getpid()}@{socket.gethostname()}",
        loglevel=config.log_level,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    log.info("The worker takes work.", action="worker_ready", pid=os.getpid())
    worker.start()
    return int(worker.exitcode or 0)


def test_in_child(config: settings.Settings, prove: Proof) -> None:
    """Run the self-test in a process of its own, so that no session is open when the pool forks; ModelError."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_prove, args=(config, prove, sender), name="self-test")
    child.start()
    sender.close()
    try:
        if not receiver.poll(SELF_TEST_SECONDS):
            raise errors.ModelError(f"The self-test did not end within {SELF_TEST_SECONDS:.0f} s.")
        failure: str | None = receiver.recv()
    except EOFError as exc:
        raise errors.ModelError("The self-test died.") from exc
    finally:
        child.kill()
        child.join()
    if failure is not None:
        raise errors.ModelError(failure)


def _prove(config: settings.Settings, prove: Proof, sender: connection.Connection) -> None:
    try:
        prove(config)
        sender.send(None)
    except Exception as exc:  # the parent must hear why, whatever it was
        sender.send(f"{type(exc).__name__}: {exc}")


def _keep_logging(**_: object) -> None:
    """Answer Celery's question who sets up logging: we have."""
