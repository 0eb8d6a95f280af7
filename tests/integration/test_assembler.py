import datetime as dt

import listening
import pytest
import small_ct
import structlog

from service import assembler
from triage import errors, rules, settings, spool
from triage.db import assembly, runs, session, tables

UID = f"{small_ct.STUDY}.1"
SEND = (small_ct.uid.CTImageStorage, small_ct.uid.ExplicitVRLittleEndian)


class Bell:
    """Ring by remembering; `broken` makes it fail as a broker that is away."""

    def __init__(self) -> None:
        self.rung: list[str] = []
        self.broken = False

    def __call__(self, series: str) -> None:
        if self.broken:
            raise errors.StorageError("the broker is away")
        self.rung.append(series)


@pytest.fixture
def bell():
    return Bell()


def _assembler(node: listening.Node, bell: Bell) -> assembler.Assembler:
    return assembler.Assembler(node.db, node.spool, bell, node.rules, assembler.Timing())


def _store(node: listening.Node, images) -> None:
    peer = listening.associate(node.receiver.port, SEND)
    assert [peer.send_c_store(image).Status for image in images] == [0] * len(images)
    peer.release()
    listening.until(lambda: all(snapshot.open_associations == 0 for snapshot in node.arriving().values()))


def _later(seconds: float) -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)


def test_a_whole_series_is_queued_and_rung_for_after_the_settle_time(tmp_path, database_url, bell):
    with listening.node(tmp_path, database_url) as node:
        ticking = _assembler(node, bell)
        _store(node, small_ct.series(20))
        ticking.tick(_later(0.5))
        assert bell.rung == []
        ticking.tick(_later(3))
        assert bell.rung == [UID]
        assert node.arriving() == {}


@pytest.fixture
def node(tmp_path):
    with listening.node(tmp_path, listening.sqlite(tmp_path)) as running:
        yield running


def test_a_series_waits_while_its_sender_may_have_more(node, bell):
    ticking = _assembler(node, bell)
    peer = listening.associate(node.receiver.port, SEND)
    for image in small_ct.series(20):
        assert peer.send_c_store(image).Status == 0
    ticking.tick(_later(3))
    assert bell.rung == []
    peer.release()
    listening.until(lambda: node.arriving()[UID].open_associations == 0)
    ticking.tick(_later(3))
    assert bell.rung == [UID]


def test_a_ring_that_nobody_heard_is_repeated_within_seconds(node, bell):
    ticking = _assembler(node, bell)
    _store(node, small_ct.series(20))
    for seconds in (3, 5, 15, 27):
        ticking.tick(_later(seconds))
    assert bell.rung == [UID] * 3


def test_rings_that_the_broker_still_holds_are_not_rung_again(node, bell):
    held = [1]
    ticking = assembler.Assembler(node.db, node.spool, bell, node.rules, assembler.Timing(), lambda: held[0])
    _store(node, small_ct.series(20))
    for seconds in (3, 15, 27):
        ticking.tick(_later(seconds))
    assert bell.rung == [UID]
    held[0] = 0
    ticking.tick(_later(28))
    assert bell.rung == [UID] * 2


def test_the_pause_ends_when_the_next_series_has_settled(node, bell):
    ticking = _assembler(node, bell)
    ticking.tick(_later(0))
    assert ticking.pause(_later(0), _later(0)) == 0.5
    _store(node, small_ct.series(20))
    last = node.arriving()[UID].last_image_at
    at = lambda seconds: last + dt.timedelta(seconds=seconds)  # noqa: E731
    assert ticking.pause(at(1), at(1)) == 0.5
    assert ticking.pause(at(1.8), at(1.8)) == pytest.approx(0.2)
    assert 0 < ticking.pause(at(1.9), at(2.1)) < 0.05, "settled during the round: due at once, but no busy loop"
    ticking.tick(at(2))
    assert bell.rung == [UID]
    assert ticking.pause(at(2), at(2)) == 0.5


def test_an_agreement_is_said_again_before_it_grows_old_and_not_at_every_round(node, bell):
    ticking = _assembler(node, bell)
    start = _later(0)
    said = set()
    for tenths in range(0, 600, 5):
        now = start + dt.timedelta(seconds=tenths / 10)
        ticking.tick(now)
        assert assembly.agreed(node.db, now)
        with node.db.read() as open_session:
            said.add(open_session.get_one(tables.Node, 1).at)
    assert len(said) == 12


def test_a_broker_that_is_away_delays_but_loses_nothing(node, bell):
    ticking = _assembler(node, bell)
    _store(node, small_ct.series(20))
    bell.broken = True
    ticking.tick(_later(3))
    bell.broken = False
    ticking.tick(_later(15))
    assert bell.rung == [UID]


def test_a_dead_workers_series_is_rung_for_again_within_a_minute(node, bell):
    ticking = _assembler(node, bell)
    _store(node, small_ct.series(20))
    ticking.tick(_later(3))
    ticket = runs.lease(node.db, UID, "a worker that dies", 30.0, _later(3))
    assert ticket is not None
    for seconds in range(4, 63):
        ticking.tick(_later(seconds))
    assert len(bell.rung) > 1
    assert runs.lease(node.db, UID, "another worker", 30.0, _later(63)) is not None


def test_nothing_is_agreed_before_the_spool_has_been_compared(node, bell, tmp_path):
    assert not assembly.agreed(node.db, _later(0))
    _assembler(node, bell).tick(_later(0))
    assert assembly.agreed(node.db, _later(0))
    assert not assembly.agreed(node.db, _later(60))


def test_a_start_notes_what_a_database_restored_from_earlier_has_forgotten(tmp_path, bell):
    url = listening.sqlite(tmp_path)
    images = small_ct.series(20)
    with listening.node(tmp_path, url) as node:
        _store(node, images)
    (tmp_path / "node.sqlite").unlink()
    for extra in tmp_path.glob("node.sqlite-*"):
        extra.unlink()
    session.upgrade(url)
    with listening.node(tmp_path, url) as node:
        assert node.arriving() == {}
        ticking = _assembler(node, bell)
        ticking.tick(_later(0))
        assert node.arriving()[UID].images == 20
        ticking.tick(_later(30))
        assert bell.rung == [UID]


def test_a_start_removes_what_a_dying_writer_left(node, bell):
    _store(node, small_ct.series(1))
    leftover = node.files()[0].with_name(".12.tmp")
    leftover.write_bytes(b"half an image")
    _assembler(node, bell).tick(_later(0))
    assert not leftover.exists()


def test_images_kept_while_the_database_was_away_are_noted_when_it_is_back(tmp_path, bell):
    (tmp_path / "away").mkdir()
    url = f"sqlite:///{tmp_path / 'away' / 'node.sqlite'}"
    with listening.node(tmp_path, url) as node:
        peer = listening.associate(node.receiver.port, SEND)
        assert {peer.send_c_store(image).Status for image in small_ct.series(20)} == {0}
        peer.release()
        ticking = _assembler(node, bell)
        ticking.tick(_later(0))
        session.upgrade(url)
        ticking.tick(_later(1))
        assert node.arriving()[UID].images == 20
        assert node.spool.unnoted() == []
        assert assembly.agreed(node.db, _later(1))


def test_nothing_is_agreed_while_a_kept_image_cannot_be_noted(node, bell):
    ticking = _assembler(node, bell)
    ticking.tick(_later(0))
    assert assembly.agreed(node.db, _later(0))
    stored = node.spool.store("1.2", "1.2.3", "1.2.3.4", small_ct.to_bytes(small_ct.slice_of_ct()))
    node.spool.mark_unnoted(stored.path)
    broken = session.Database("sqlite:////no/such/folder/node.sqlite")
    assembler.Assembler(broken, node.spool, bell, node.rules, assembler.Timing()).tick(_later(1))
    assert node.spool.unnoted() == [stored.path]


def test_an_unnoted_file_whose_uid_is_taken_meanwhile_moves_aside(node, bell):
    first = small_ct.slice_of_ct(0)
    _store(node, [first])
    second = small_ct.slice_of_ct(0, series=f"{small_ct.STUDY}.2", SOPInstanceUID=first.SOPInstanceUID)
    place = (second.StudyInstanceUID, second.SeriesInstanceUID, second.SOPInstanceUID)
    stored = node.spool.store(*place, small_ct.to_bytes(second))
    node.spool.mark_unnoted(stored.path)
    _assembler(node, bell).tick(_later(0))
    snapshot = node.arriving()[second.SeriesInstanceUID]
    assert (snapshot.images, snapshot.aside) == (0, 1)
    assert [spool.is_aside(path) for path in node.spool.walk()] == [False, True]


def test_a_spoilt_file_in_the_spool_is_noted_as_unreadable(node, bell):
    node.spool.store("1.2", "1.2.3", "1.2.3.4", b"garbage")
    _assembler(node, bell).tick(_later(0))
    snapshot = node.arriving()["1.2.3"]
    assert (snapshot.images, snapshot.unreadable) == (0, 1)


def test_a_foreign_file_in_the_spool_is_left_alone(node, bell):
    foreign = node.spool.root / "lost+found" / "x" / "notes.dcm"
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(b"not ours")
    _assembler(node, bell).tick(_later(0))
    assert foreign.exists()
    assert node.arriving() == {}
    assert assembly.agreed(node.db, _later(0))


def test_ticks_without_a_database_complain_once_and_the_next_with_one_works(tmp_path, bell):
    (tmp_path / "away").mkdir()
    db = session.Database(f"sqlite:///{tmp_path / 'away' / 'node.sqlite'}")
    files = spool.Spool(tmp_path / "spool")
    ticking = assembler.Assembler(db, files, bell, rules.from_settings(settings.load()), assembler.Timing())
    with structlog.testing.capture_logs() as told:
        ticking.tick(_later(0))
        ticking.tick(_later(0.5))
        session.upgrade(db.url)
        ticking.tick(_later(1))
    said = [(line["action"], line["step"]) for line in told if "step" in line]
    steps = ("_agree", "_judge", "_expire", "_ring_due")
    assert said == [*(("step_failed", step) for step in steps), *(("step_works", step) for step in steps)]
    assert assembly.agreed(db, _later(1))
    db.dispose()
