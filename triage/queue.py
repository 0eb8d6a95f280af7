"""The doorbell between assembler and worker: only a series UID travels, and a lost ring costs seconds.

Truth is in the database. Where no Redis is configured, messages are files in the node's home folder.
"""

import contextlib
import json
import os
import pathlib
import time
import uuid
from collections.abc import Callable
from queue import Empty
from typing import Any, TypeAlias

import celery
import kombu.exceptions
from kombu.transport import filesystem

from triage import errors

TASK = "triage_series"
QUEUE = "triage"

POLL_SECONDS = 0.05
"""How often a worker without a server looks for a message file: one listing of a small folder."""

Doorbell: TypeAlias = Callable[[str], None]
HeldRings: TypeAlias = Callable[[], int]


class FileChannel(filesystem.Channel):
    """Keep messages as files: written whole or not at all, and taken by renaming, so by one consumer only."""

    def _put(self, queue: str, payload: dict[str, Any], **_: Any) -> None:  # type: ignore[override]
        folder = pathlib.Path(self.data_folder_out)
        name = f"{time.time_ns():020d}_{uuid.uuid4()}.{queue}.msg"
        draft = folder / f".{name}"
        draft.write_text(json.dumps(payload), encoding="utf-8")
        draft.rename(folder / name)

    def _get(self, queue: str, timeout: float | None = None) -> dict[str, Any]:
        folder = pathlib.Path(self.data_folder_in)
        for name in sorted(os.listdir(folder)):
            if name.startswith(".") or name.partition(".")[2] != f"{queue}.msg":
                continue
            taken = folder / f".{name}.taken"
            # Another consumer may have been quicker; a spoilt message is dropped, for the assembler rings again.
            with contextlib.suppress(FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
                (folder / name).rename(taken)
                text = taken.read_text(encoding="utf-8")
                taken.unlink()
                message: dict[str, Any] = json.loads(text)
                return message
        raise Empty


class FileTransport(filesystem.Transport):
    """Carry messages through a folder, with nothing installed."""

    Channel = FileChannel


def make_app(broker_url: str, home: pathlib.Path, *, task_seconds: float) -> celery.Celery:
    """Build the Celery application that both sides share.

    An empty `broker_url` means files under `home`/broker. Messages are acknowledged after the task; a message
    is delivered again when its worker dies, which the lease in the database makes harmless.
    """
    app = celery.Celery("cac-triage", set_as_current=False)
    app.conf.update(
        task_default_queue=QUEUE,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_serializer="json",
        accept_content=["json"],
        # No soft limit: its exception could surface as an unreadable image. The lease makes a killed task good.
        task_time_limit=task_seconds,
        task_publish_retry=False,
        worker_prefetch_multiplier=1,
        worker_concurrency=1,
        worker_proc_alive_timeout=120.0,  # a child opens the nets before it says that it lives
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_timeout=3.0,
        enable_utc=True,
    )
    if broker_url:
        app.conf.broker_url = broker_url
        app.conf.broker_transport_options = {
            "visibility_timeout": int(task_seconds) + 60,
            "max_retries": 1,
            "interval_start": 0.0,
            "interval_step": 0.1,
            "socket_connect_timeout": 3.0,
            "socket_timeout": 10.0,
        }
    else:
        app.conf.update(_files(home / "broker"))
    return app


def _files(folder: pathlib.Path) -> dict[str, Any]:
    try:
        (folder / "control").mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise errors.StorageError(f"The broker's folder cannot be made: {exc.strerror}.") from exc
    return {
        "broker_url": "filesystem://localhost//",
        "broker_transport": "triage.queue:FileTransport",
        "broker_transport_options": {
            "data_folder_in": str(folder),
            "data_folder_out": str(folder),
            "control_folder": str(folder / "control"),
            "polling_interval": POLL_SECONDS,
        },
    }


def doorbell(app: celery.Celery) -> Doorbell:
    """Return the function that rings for one series; StorageError when the broker is out of reach."""

    def ring(series_instance_uid: str) -> None:
        try:
            app.send_task(TASK, args=[series_instance_uid], retry=False)
        except (kombu.exceptions.KombuError, OSError) as exc:
            raise errors.StorageError("The broker is out of reach.") from exc

    return ring


def held_rings(app: celery.Celery) -> HeldRings:
    """Return the function that counts the rings no worker has taken yet; StorageError when the broker is away."""

    def count() -> int:
        with app.connection_for_read() as connection:
            away = (*connection.connection_errors, *connection.channel_errors, kombu.exceptions.KombuError, OSError)
            try:
                with connection.channel() as channel:
                    return int(channel.queue_declare(QUEUE).message_count)
            except away as exc:
                raise errors.StorageError("The broker is out of reach.") from exc

    return count
