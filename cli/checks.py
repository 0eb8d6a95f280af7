"""What `cac-triage doctor` looks at: each check says what is right, or raises with what to do about it.

Containers ask often, so each check imports only what it looks at.
"""

import os
import pathlib
import shutil
import socket

from cli import rest
from triage import errors, settings

BROKER_SECONDS = 5.0


class Wrong(Exception):
    """Say what is wrong and what to do about it."""


def models(config: settings.Settings) -> str:
    """Open the nets against their hashes, run the self-test, and say what they run on."""
    from triage import manifest
    from worker import inference

    engine = inference.from_settings(config)
    inference.self_test(engine)
    chosen = manifest.load(config.models / "manifest.json").operating_point
    untuned = "" if config.architecture in chosen else "; nobody chose their thresholds: run training.evaluate --tune"
    if config.device == "cuda" and "CUDA" not in engine.provider:
        raise Wrong(f"CUDA is asked for, but {engine.provider} runs: install onnxruntime-gpu, or set DEVICE to cpu.")
    return f"{config.architecture} nets: hashes and self-test right, on {engine.provider}{untuned}"


def database(config: settings.Settings) -> str:
    """Reach the database, and compare its schema with this program's."""
    if not config.database_url and not (config.home / "cac-triage.sqlite").exists():
        return "not there yet: 'cac-triage up' makes it"
    from triage.db import session

    if not session.at_head(config.database):
        raise Wrong("reachable, but its schema is another version's: run 'cac-triage db upgrade'")
    return "reachable, at the newest revision"


def broker(config: settings.Settings) -> str:
    """Reach the queue."""
    if not config.broker_url:
        return f"files in {config.home / 'broker'}: needs no server"
    from triage import queue

    app = queue.make_app(config.broker_url, config.home, task_seconds=config.task_seconds)
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=BROKER_SECONDS)
    except Exception as exc:  # kombu raises what its transports raise
        raise Wrong("out of reach: start Redis, or correct CAC_TRIAGE_BROKER_URL") from exc
    return "reachable"


def dicom_port(config: settings.Settings) -> str:
    """Find the DICOM port free, or our listener behind it."""
    if _free(config.dicom_host, config.dicom_port):
        return f"{config.dicom_port} is free"
    try:
        return f"{config.dicom_port}: {listener(config)}"
    except Wrong as exc:
        raise Wrong(f"{config.dicom_port} belongs to another program: set CAC_TRIAGE_DICOM_PORT") from exc


def http_port(config: settings.Settings) -> str:
    """Find the HTTP port free, or our REST interface behind it."""
    if _free(config.http_host, config.http_port):
        return f"{config.http_port} is free"
    try:
        return f"{config.http_port}: {api(config)}"
    except (Wrong, errors.TriageError) as exc:
        raise Wrong(f"{config.http_port} belongs to another program: set CAC_TRIAGE_HTTP_PORT") from exc


def disk(config: settings.Settings) -> str:
    """Compare the room for files with what the listener demands."""
    folder = config.home.resolve()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < config.min_free_bytes:
        raise Wrong(
            f"{_gib(free)} free at {folder}, {_gib(config.min_free_bytes)} needed: images are refused; make room"
        )
    if not _writable(folder):
        raise Wrong(f"{folder} cannot be written: change its owner, or set CAC_TRIAGE_HOME")
    return f"{_gib(free)} free at {folder}"


def listener(config: settings.Settings) -> str:
    """Ask the listener for a C-ECHO."""
    import pynetdicom

    entity = pynetdicom.AE(ae_title="DOCTOR")
    entity.connection_timeout = entity.acse_timeout = entity.dimse_timeout = 5
    entity.add_requested_context("1.2.840.10008.1.1")
    peer = entity.associate(_reachable(config.dicom_host), config.dicom_port, ae_title=config.ae_title)
    if not peer.is_established:
        raise Wrong("no listener answers: start it with 'cac-triage listen' or 'cac-triage up'")
    try:
        answer = peer.send_c_echo()
    finally:
        peer.release()
    if "Status" not in answer or answer.Status != 0:
        raise Wrong("the listener does not answer C-ECHO with success: see its log")
    return "the listener answers"


def api(config: settings.Settings) -> str:
    """Ask the REST interface whether it lives."""
    host = _reachable(config.http_host)
    answer = rest.get(f"http://{f'[{host}]' if ':' in host else host}:{config.http_port}", "/health/live")
    if not isinstance(answer, dict) or answer.get("service") != "cac-triage":
        raise Wrong("another program answers")
    return "the REST interface answers"


def assembler(config: settings.Settings) -> str:
    """Look for the assembler's sign of life in the database."""
    from triage import domain
    from triage.db import assembly, session

    db = session.Database(config.database)
    try:
        if not assembly.agreed(db, domain.utc_now()):
            raise Wrong("the assembler has not said within 30 s that spool and database agree: see its log")
    finally:
        db.dispose()
    return "the assembler lives; spool and database agree"


def worker(config: settings.Settings) -> str:
    """Check what a worker needs at any time: database, broker, weights in place."""
    from triage import manifest

    manifest.load(config.models / "manifest.json").model_set(config.architecture)
    return f"database {database(config)}; broker {broker(config)}"


def _free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  compared only


def _writable(folder: pathlib.Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK)


def _gib(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB"
