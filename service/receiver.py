"""The listener: C-ECHO and C-STORE. Objects go into the spool as received and are noted; nothing heavy happens here."""

import contextlib
import dataclasses
import datetime as dt
import gc
import signal
import socket
import threading
import time
import weakref
from collections.abc import Callable
from typing import cast

import pynetdicom
from pynetdicom import _config, association, dimse_primitives, evt, transport

from service import associations, contexts, intake, stores, wire
from triage import domain, errors, logs, rules, settings, spool
from triage.db import session
from triage.dicom import file_meta

_config.LOG_HANDLER_LEVEL = "none"
_log = logs.get(__name__)
_SERVICE_USER = 0x00  # PS3.8 section 9.3.8: the source of an A-ABORT
_PDU_BYTES = 1 << 17
_BEAT_SECONDS = 3.0
_FIRST_PDU_SECONDS = 10.0
_GOODBYE_SECONDS = 1.0
_ANSWER_SECONDS = 5.0
DATABASE_PATIENCE_SECONDS = 2.0
"""A sender need not wait for a busy database: what is not noted is marked, and noted later."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Listening:
    """Hold where and to whom the receiver listens; port 0 takes a free one, `shared` lets other listeners join it."""

    host: str = "127.0.0.1"
    port: int = 11112
    ae_title: str = "CACTRIAGE"
    max_associations: int = 32
    called_aet_check: bool = False
    refuse_non_ct: bool = False
    min_free_bytes: int = 1 << 30
    shared: bool = False


class Receiver:
    """Serve C-ECHO and C-STORE from threads of this process, between `start` and `stop`."""

    def __init__(
        self,
        db: session.Database,
        files: spool.Spool,
        site: rules.Rules,
        listening: Listening,
        clock: Callable[[], dt.datetime] = domain.utc_now,
    ) -> None:
        self._listening = listening
        self._intake = intake.Intake(db, files, site, listening.min_free_bytes, clock)
        self._associations = associations.Associations(db, associations.listener_name(), clock)
        self._stopping = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="listener-heartbeat", daemon=True)
        self._entity = pynetdicom.AE(ae_title=listening.ae_title)
        self._wires: weakref.WeakKeyDictionary[threading.Thread, socket.socket] = weakref.WeakKeyDictionary()
        self._server: transport.ThreadedAssociationServer | None = None

    @property
    def port(self) -> int:
        """Return the port in use; known after `start`."""
        if self._server is None:
            raise RuntimeError("the receiver has not been started")
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Listen; return once connections are taken. Raises OSError where the port is taken."""
        listening = self._listening
        self._entity.maximum_associations = listening.max_associations
        self._entity.maximum_pdu_size = _PDU_BYTES
        self._entity.require_called_aet = listening.called_aet_check
        self._entity.acse_timeout = _FIRST_PDU_SECONDS
        self._entity.supported_contexts = contexts.supported(refuse_non_ct=listening.refuse_non_ct)
        server = self._entity.make_server(
            (listening.host, listening.port),
            server_class=wire.SharingServer if listening.shared else wire.Server,
            evt_handlers=[
                (evt.EVT_CONN_OPEN, self._connected),
                (evt.EVT_CONN_CLOSE, self._disconnected),
                (evt.EVT_C_ECHO, _echo),
                (evt.EVT_C_STORE, self._store),
                (evt.EVT_RELEASED, self._released),
                (evt.EVT_ABORTED, self._aborted),
            ],
        )
        self._server = server
        threading.Thread(target=server.serve_forever, name="listener", daemon=True).start()
        self._heart.start()
        _log.info("Listening for DICOM.", action="listening", host=listening.host, port=self.port)

    def stop(self) -> None:
        """Take no more connections, break off those that are open, and say so in the database."""
        self._stopping.set()
        if self._server is not None:
            self._server.shutdown()
            self._hang_up(self._server.active_associations)
        if self._heart.is_alive():
            self._heart.join(timeout=2 * _BEAT_SECONDS)
        self._associations.end_all()
        _log.info("The listener has stopped.", action="stopped")

    def _hang_up(self, peers: list[association.Association]) -> None:
        """Abort between two objects; within one, read no more of it, but let what came whole be answered."""
        for peer in peers:
            if peer.is_established:
                peer.acse.send_abort(_SERVICE_USER)
        steps = ((_GOODBYE_SECONDS, socket.SHUT_RD), (_ANSWER_SECONDS, socket.SHUT_RDWR), (_GOODBYE_SECONDS, None))
        for patience, how in steps:
            end = time.monotonic() + patience
            for peer in peers:
                peer.join(max(0.0, end - time.monotonic()))
                line = self._wires.get(peer)
                if how is not None and line is not None and peer.is_alive():
                    with contextlib.suppress(OSError):
                        line.shutdown(how)

    def _store(self, event: evt.Event) -> int:
        """Answer a C-STORE that came by way of pynetdicom: its command was not of the plain kind."""
        request = cast(dimse_primitives.C_STORE, event.request)
        command = stores.Command(
            message_id=request.MessageID or 0,
            sop_class_uid=str(request.AffectedSOPClassUID),
            sop_instance_uid=str(request.AffectedSOPInstanceUID),
        )
        data_set = b"" if request.DataSet is None else event.encoded_dataset(include_meta=False)
        return self._take(event.assoc, command, str(event.context.transfer_syntax), data_set)

    def _take(self, peer: association.Association, command: stores.Command, syntax: str, data_set: bytes) -> int:
        """Answer one C-STORE; whatever happens ends as a status, never as a dead thread."""
        status, cause, uid = intake.Status.UNEXPECTED, "", command.sop_instance_uid
        try:
            received = _received(command, syntax, data_set)
            status = self._intake.take(received, lambda: self._associations.row_of(peer, str(peer.requestor.ae_title)))
        except (errors.StorageError, errors.StorageFull) as exc:
            status, cause = intake.Status.OUT_OF_RESOURCES, str(exc)
        except errors.InvalidUid as exc:
            status, cause, uid = intake.Status.BAD_UID, str(exc), ""
        except errors.UnreadableImage as exc:
            status, cause = intake.Status.CANNOT_UNDERSTAND, str(exc)
        except Exception as exc:  # the sender must have an answer
            cause = type(exc).__name__
            _log.exception("An object could not be taken in.", action="store_crashed")
        if status is not intake.Status.SUCCESS:
            _log.warning("An object was refused.", action="refused", status=f"{status:04X}", cause=cause, instance=uid)
        return int(status)

    def _connected(self, event: evt.Event) -> None:
        line = event.assoc.dul.socket
        if line is not None and line.socket is not None:
            self._wires[event.assoc] = line.socket
            stores.attend(event.assoc, self._take)

    def _disconnected(self, event: evt.Event) -> None:
        # pynetdicom forgets to close a socket whose peer has reset it.
        left = self._wires.pop(event.assoc, None)
        if left is not None:
            with contextlib.suppress(OSError):
                left.close()
        # A probe that connects and leaves would hold its thread, and a place, until a time-out: wake it up.
        if event.assoc.is_acceptor and event.assoc.requestor.primitive is None:
            event.assoc.dul.to_user_queue.put(None)  # reads as a time-out

    def _released(self, event: evt.Event) -> None:
        self._ended(event, aborted=False)

    def _aborted(self, event: evt.Event) -> None:
        self._ended(event, aborted=True)

    def _ended(self, event: evt.Event, *, aborted: bool) -> None:
        try:
            self._associations.ended(event.assoc, aborted=aborted)
        except Exception:  # pynetdicom's thread must go on
            _log.exception("An association's end could not be noted.", action="end_crashed")

    def _beat(self) -> None:
        while not self._stopping.is_set():
            try:
                self._associations.beat()
            except Exception:  # the next beat may work
                _log.exception("The listener's sign of life failed.", action="heartbeat_crashed")
            self._stopping.wait(_BEAT_SECONDS)


def _echo(event: evt.Event) -> int:
    """Answer a C-ECHO; pynetdicom brings any message here that names the Verification class, an image too."""
    if not isinstance(event.request, dimse_primitives.C_ECHO):
        _log.warning("A message was sent as a verification.", action="refused", cause=type(event.request).__name__)
        event.assoc.abort()
    return int(intake.Status.SUCCESS)


def _received(command: stores.Command, syntax: str, data_set: bytes) -> intake.Received:
    if not data_set:
        raise errors.UnreadableImage("no data set came with the command")
    return intake.Received(
        sop_class_uid=command.sop_class_uid,
        sop_instance_uid=command.sop_instance_uid,
        content=spool.Content(
            head=file_meta.encode(command.sop_class_uid, command.sop_instance_uid, syntax), body=data_set
        ),
    )


def listening_of(config: settings.Settings) -> Listening:
    """Take from the settings what the receiver needs."""
    return Listening(
        host=config.dicom_host,
        port=config.dicom_port,
        ae_title=config.ae_title,
        max_associations=config.max_associations,
        called_aet_check=config.called_aet_check,
        refuse_non_ct=config.refuse_non_ct,
        min_free_bytes=config.min_free_bytes,
        shared=config.listeners > 1,
    )


def run(config: settings.Settings, stop: threading.Event | None = None) -> None:
    """Listen until SIGTERM or SIGINT, or until `stop` is set by a caller that minds the signals itself."""
    db = session.Database(config.database, DATABASE_PATIENCE_SECONDS)
    receiver = Receiver(db, spool.Spool(config.spool), rules.from_settings(config), listening_of(config))
    if stop is None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
    receiver.start()
    # pynetdicom's server collects garbage with every sixtieth association: let it pass over all that stays anyway,
    # or every sender waits for it.
    gc.collect()
    gc.freeze()
    try:
        stop.wait()
    finally:
        receiver.stop()
        db.dispose()
