"""The node: `up` starts all of it, `listen`, `assemble`, `api` and `work` one role each."""

import contextlib
import os
import pathlib
import signal
import socket
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from cli import console

if TYPE_CHECKING:
    from cli import supervisor
    from triage import settings

READY_SECONDS = 120.0
LOOK_SECONDS = 0.5

Home = Annotated[
    pathlib.Path | None, typer.Option(help="Folder for files, database and results. [CAC_TRIAGE_HOME; cac-triage-home]")
]
Aet = Annotated[str | None, typer.Option(help="Our AE title. [CAC_TRIAGE_AE_TITLE; CACTRIAGE]")]
DicomPort = Annotated[
    int | None, typer.Option(help="Where to listen for DICOM; 0 takes a free one. [CAC_TRIAGE_DICOM_PORT; 11112]")
]
HttpPort = Annotated[
    int | None, typer.Option(help="Where to serve REST; 0 takes a free one. [CAC_TRIAGE_HTTP_PORT; 8080]")
]
Host = Annotated[
    str | None, typer.Option(help="The address to listen on, for DICOM and REST; loopback unless told otherwise.")
]
One = Annotated[bool, typer.Option("--one", help="Be one of several listeners.", hidden=True)]
Lifeline = Annotated[bool, typer.Option("--lifeline", help="End when standard input closes.", hidden=True)]


def up(
    home: Home = None,
    aet: Aet = None,
    dicom_port: DicomPort = None,
    http_port: HttpPort = None,
    host: Host = None,
) -> None:
    """Run a whole node: listener, assembler, REST and one worker, until Ctrl-C.

    Roles that end are started again. Nothing needs to be installed beside it: the database is SQLite and the queue
    are files in the home folder, unless CAC_TRIAGE_DATABASE_URL and CAC_TRIAGE_BROKER_URL say otherwise.
    """
    from triage import logs, settings

    config = settings.load(
        home=home, ae_title=aet, dicom_port=dicom_port, http_port=http_port, dicom_host=host, http_host=host
    )
    logs.configure(config.log_level, config.log_format)
    with contextlib.suppress(Stopped), running(config) as node:
        console.say(f"DICOM    {node.ae_title}@{node.dicom_host}:{node.dicom_port}")
        console.say(f"REST     {address(node)}/api/v1/worklist   (interface: {address(node)}/docs)")
        console.say(f"home     {node.home}")
        console.say("Research software, not a medical device. Ctrl-C stops the node.")
        watch(node)


def listen(lifeline: Lifeline = False, one: One = False) -> None:
    """Run the listener alone: receive by C-STORE, answer C-ECHO; CAC_TRIAGE_LISTENERS processes share the port."""
    from service import receiver

    config = _role(lifeline)
    if one or config.listeners == 1:
        receiver.run(config)
    else:
        _listen_together(config)


def _listen_together(config: "settings.Settings") -> None:
    """Keep several listeners on one port, each with a name and a heartbeat of its own, until told to stop."""
    from cli import supervisor
    from triage import errors

    if config.dicom_port == 0:
        raise errors.SettingsError("Several listeners can only share a port that is named.")
    # They let each other in, so they would let a stranger's listener in as well: look before they start.
    _port(config.dicom_host, config.dicom_port, "CAC_TRIAGE_DICOM_PORT")
    roles = [supervisor.Role("listen", os.environ, ["--one"]) for _ in range(config.listeners)]
    listeners = supervisor.Supervisor(os.environ, console.say, roles)
    with contextlib.suppress(Stopped), _stop_by_signal():
        try:
            listeners.start()
            _look(listeners)
        finally:
            listeners.stop()


def assemble(lifeline: Lifeline = False) -> None:
    """Run the assembler alone: find complete series, queue them, make good what a crash left."""
    from service import assembler

    assembler.run(_role(lifeline))


def api(lifeline: Lifeline = False) -> None:
    """Run the REST interface alone."""
    from service.api import server

    server.run(_role(lifeline))


def work(lifeline: Lifeline = False) -> None:
    """Run one worker alone: it takes work once its nets have passed their self-test."""
    from worker import app

    raise typer.Exit(app.run(_role(lifeline)))


def _role(lifeline: bool) -> "settings.Settings":
    from cli import supervisor
    from triage import logs, settings

    if lifeline:
        supervisor.watch_lifeline()
    config = settings.load()
    logs.configure(config.log_level, config.log_format)
    config.home.mkdir(parents=True, exist_ok=True)
    return config


class Node:
    """Hold a running node: its settings with real ports, and its roles."""

    def __init__(self, config: "settings.Settings", roles: "supervisor.Supervisor") -> None:
        self.config = config
        self.roles = roles
        self.ae_title, self.home = config.ae_title, config.home
        self.dicom_host, self.dicom_port = config.dicom_host, config.dicom_port
        self.http_host, self.http_port = config.http_host, config.http_port


class Stopped(Exception):
    """Say that the node was asked to stop."""


@contextlib.contextmanager
def running(config: "settings.Settings") -> Iterator[Node]:
    """Start a node, wait until it is ready, and stop it at the end; SIGTERM and Ctrl-C raise Stopped.

    Raises SettingsError where a port or the home is taken, StorageError where it does not become ready.
    """
    from cli import supervisor
    from triage.db import session

    config = config.model_copy(
        update={
            "home": config.home.resolve(),
            "dicom_port": _port(config.dicom_host, config.dicom_port, "--dicom-port"),
            "http_port": _port(config.http_host, config.http_port, "--http-port"),
        }
    )
    with _owned(config.home), _stop_by_signal():
        session.upgrade(config.database)
        _distrust(config.database)
        node = Node(config, supervisor.Supervisor(_environment(config), console.say))
        try:
            node.roles.start()
            _wait_until_ready(node)
            yield node
        finally:
            node.roles.stop()


def watch(node: Node) -> None:
    """Keep the roles running until told to stop."""
    _look(node.roles)


def _look(roles: "supervisor.Supervisor") -> None:
    while True:
        roles.look()
        time.sleep(LOOK_SECONDS)


def address(node: Node) -> str:
    """Return the REST interface's address, as seen from this machine."""
    host = _loopback(node.http_host)
    return f"http://{f'[{host}]' if ':' in host else host}:{node.http_port}"


def _loopback(host: str) -> str:
    """Return where this machine reaches what listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  compared only


def _distrust(url: str) -> None:
    """Forget that an earlier start's spool and database agreed: nothing is low until this start's do."""
    from triage import domain
    from triage.db import assembly, session

    db = session.Database(url)
    try:
        assembly.agree(db, "starting", False, domain.utc_now())
    finally:
        db.dispose()


def _wait_until_ready(node: Node) -> None:
    from cli import rest
    from triage import errors

    end = time.monotonic() + READY_SECONDS
    while not (_listening(node) and rest.ready(address(node))):
        if time.monotonic() > end:
            raise errors.StorageError(f"The node did not become ready; see {address(node)}/health/ready.")
        node.roles.look()
        time.sleep(0.2)


def _listening(node: Node) -> bool:
    try:
        socket.create_connection((_loopback(node.dicom_host), node.dicom_port), timeout=5).close()
    except OSError:
        return False
    return True


def _environment(config: "settings.Settings") -> dict[str, str]:
    mine = ("home", "ae_title", "dicom_host", "dicom_port", "http_host", "http_port", "log_level")
    return {**os.environ, **{f"CAC_TRIAGE_{name.upper()}": str(getattr(config, name)) for name in mine}}


def _port(host: str, port: int, option: str) -> int:
    """Return the port, a free one for 0; SettingsError where another program has it."""
    from triage import errors

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            why = f"{host}:{port} cannot be used ({exc.strerror}); choose another with {option}."
            raise errors.SettingsError(why) from exc
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _owned(home: pathlib.Path) -> Iterator[None]:
    """Hold the home for this node alone."""
    import fcntl

    from triage import errors

    with contextlib.ExitStack() as stack:
        try:
            home.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context((home / "up.lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise errors.SettingsError(f"Another node runs in {home}; choose another with --home.") from exc
        except OSError as exc:
            raise errors.SettingsError(f"The home {home} cannot be used: {exc.strerror}.") from exc
        yield


@contextlib.contextmanager
def _stop_by_signal() -> Iterator[None]:
    """Turn SIGTERM and SIGINT into Stopped, once: a second one does not disturb the stopping."""

    def stop(*_: object) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        raise Stopped

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
