"""A node in one process for tests of cases: real listener, spool, database and worker; clock and queue are seams."""

import contextlib
import datetime as dt
import pathlib
import time
from collections.abc import Iterator

import numpy as np
import pydicom
import pynetdicom
import sqlalchemy as sa
from pydicom import uid

from cac import finding, volume
from service import assembler, receiver
from triage import domain, rules, settings, spool
from triage.db import session, tables, worklist
from triage.dicom import sending
from worker import analyse, triage_series

GOODBYE_SECONDS = 2.0
"""Some tests hold an association open on purpose."""


class Clock:
    """Tell the time that a test moves on."""

    def __init__(self) -> None:
        self._offset = dt.timedelta()

    def __call__(self) -> dt.datetime:
        return domain.utc_now() + self._offset

    def advance(self, seconds: float) -> None:
        self._offset += dt.timedelta(seconds=seconds)


class LittleNode:
    """Receive by C-STORE on a free port, assemble at `settle` or `give_up_waiting`, work in this process."""

    def __init__(self, home: pathlib.Path, engine: analyse.Engine, models_hash: str = "m" * 64) -> None:
        self.config = settings.load(home=home, dicom_port=0, min_free_bytes=0)
        self.clock = Clock()
        home.mkdir(parents=True, exist_ok=True)
        session.upgrade(self.config.database)
        self.db = session.Database(self.config.database)
        self.spool = spool.Spool(self.config.spool)
        self.rules = rules.from_settings(self.config)
        self.rung: list[str] = []
        self.assembler = assembler.Assembler(
            self.db, self.spool, self.rung.append, self.rules, assembler.timing_of(self.config)
        )
        self.receiver = receiver.Receiver(
            self.db, self.spool, self.rules, receiver.listening_of(self.config), self.clock
        )
        self.use(engine, models_hash)

    def use(self, engine: analyse.Engine, models_hash: str) -> None:
        """Work with this engine from now on."""
        self.bench = triage_series.Bench(
            db=self.db,
            spool=self.spool,
            results=self.config.results,
            rules=self.rules,
            engine=engine,
            models_hash=models_hash,
            worker="little",
            lease_seconds=30.0,
            max_attempts=1,
        )

    def send(self, *paths: pathlib.Path) -> sending.Report:
        target = sending.Target(aet="CACTRIAGE", host="127.0.0.1", port=self.receiver.port)
        return sending.send(paths, target)

    def settle(self) -> None:
        """Let the settle time pass, then work."""
        self._pass(3.0)

    def give_up_waiting(self) -> None:
        """Let the quiet time pass, then work."""
        self._pass(25.0)

    def _pass(self, seconds: float) -> None:
        self._wait_for_goodbyes()
        self.clock.advance(seconds)
        self.assembler.tick(self.clock())
        self.work()

    def _wait_for_goodbyes(self) -> None:
        """Wait until the listener has noted that its senders are gone, which it hears a moment after they left."""
        still = sa.select(sa.func.count()).where(tables.Association.closed_at.is_(None))
        deadline = time.monotonic() + GOODBYE_SECONDS
        while time.monotonic() < deadline:
            with self.db.read() as reading:
                if not reading.scalar(still):
                    return
            time.sleep(0.01)

    def work(self) -> None:
        while self.rung:
            triage_series.triage(self.rung.pop(0), self.bench)

    def studies(self) -> dict[str, worklist.StudyRow]:
        page = worklist.page(self.db, worklist.Filters(), None, 100)
        return {row.study_instance_uid: row for row in page.items}

    def series_of_only_study(self) -> str:
        """Return the one series of the one study."""
        detail = worklist.study(self.db, self.only().study_instance_uid)
        (series,) = detail.series
        return series.series_instance_uid

    def only(self) -> worklist.StudyRow:
        """Return the one study there is."""
        (row,) = self.studies().values()
        return row


def send_and_abort(node: LittleNode, paths: list[pathlib.Path]) -> None:
    """Send images over one association and break it off."""
    entity = pynetdicom.AE(ae_title="ABORTER")
    entity.add_requested_context(uid.CTImageStorage, uid.ExplicitVRLittleEndian)
    association = entity.associate("127.0.0.1", node.receiver.port, ae_title="CACTRIAGE")
    for path in paths:
        assert association.send_c_store(pydicom.dcmread(path)).Status == 0
    association.abort()


class ConstantEngine:
    """Answer the same probability everywhere: 0 is the net that misses everything, the worst a case can meet."""

    provider = "constant"
    spec = finding.NetSpec(
        levels={plane: finding.Levels(low=0.2, high=0.8) for plane in finding.Plane},
        joint=finding.Joint(accept=0.5, other=0.5, speck=0.5),
    )

    def __init__(self, probability: float = 0.0) -> None:
        self._probability = probability

    def predict(self, plane: finding.Plane, stack: volume.FloatArray, core: finding.Core) -> volume.FloatArray:
        top, left, bottom, right = core
        return np.full((stack.shape[0], bottom - top, right - left), self._probability, np.float32)


@contextlib.contextmanager
def running(home: pathlib.Path, engine: analyse.Engine) -> Iterator[LittleNode]:
    """Run a little node until the block ends."""
    node = LittleNode(home, engine)
    node.receiver.start()
    try:
        node.assembler.tick(node.clock())
        yield node
    finally:
        node.receiver.stop()
        node.db.dispose()
