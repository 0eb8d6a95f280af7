"""A queued series becomes exactly one result, whatever fails on the way; no failure ends as a negative."""

import dataclasses
import datetime as dt
import json
import pathlib
from collections.abc import Iterator

import numpy as np
import pydicom
import pytest
import working

from cac import finding, reasons
from triage import domain, errors
from triage.db import assembly, runs
from triage.dicom import headers
from worker import triage_series


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[pathlib.Path]:
    return working.phantom_files(tmp_path_factory.mktemp("phantom"))


@pytest.fixture
def node(home: pathlib.Path, database_url: str) -> Iterator[working.Node]:
    with working.node(home, database_url=database_url if database_url.startswith("postgresql") else None) as made:
        yield made


@pytest.fixture
def sqlite_node(home: pathlib.Path) -> Iterator[working.Node]:
    with working.node(home) as made:
        yield made


def _bench(node: working.Node, engine: object = None, **changes: object) -> triage_series.Bench:
    return triage_series.Bench(
        **{
            "db": node.db,
            "spool": node.spool,
            "results": node.config.results,
            "rules": node.rules,
            "engine": engine or working.Engine(),
            "models_hash": working.MODELS_HASH,
            "worker": "test",
            "lease_seconds": 30.0,
            "max_attempts": 2,
            **changes,
        }
    )


def _codes(record: runs.RunRecord) -> set[reasons.ReasonCode]:
    return {reason.code for reason in record.reasons}


def test_a_positive_has_score_segmentation_preview_and_json(node: working.Node, files: list[pathlib.Path]) -> None:
    uid = working.queue_series(node, files)
    triage_series.triage(uid, _bench(node))
    done = runs.get(node.db, node.newest(uid).id)
    assert (done.phase, done.outcome) == (domain.RunPhase.DONE, domain.Outcome.PRESENT)
    assert done.agatston
    assert done.candidates[0]["probabilities"].keys() == {"axial", "sagittal", "coronal"}
    assert done.provider == "stand-in"
    seg = pydicom.dcmread(node.config.results / done.segmentation_path)
    assert seg.SOPInstanceUID == done.segmentation_uid
    assert (node.config.results / done.preview_path).read_bytes().startswith(b"\x89PNG")
    told = json.loads((node.config.results / done.preview_path).with_name("result.json").read_text())
    assert (told["series_instance_uid"], told["outcome"]) == (uid, "present")


def test_a_run_again_on_the_same_images_gives_the_same_objects(
    sqlite_node: working.Node, files: list[pathlib.Path]
) -> None:
    uid = working.queue_series(sqlite_node, files)
    triage_series.triage(uid, _bench(sqlite_node))
    first = sqlite_node.newest(uid)
    before = (sqlite_node.config.results / first.segmentation_path).read_bytes()
    runs.request_again(sqlite_node.db, uid, domain.utc_now())
    triage_series.triage(uid, _bench(sqlite_node))
    again = sqlite_node.newest(uid)
    assert again.number == first.number + 1
    assert again.segmentation_uid == first.segmentation_uid
    assert (sqlite_node.config.results / again.segmentation_path).read_bytes() == before


def test_a_second_ring_does_nothing(sqlite_node: working.Node, files: list[pathlib.Path]) -> None:
    uid = working.queue_series(sqlite_node, files)
    for _ in range(2):
        triage_series.triage(uid, _bench(sqlite_node))
    assert len(sqlite_node.history(uid)) == 1


def test_a_ring_for_an_unknown_series_does_nothing(sqlite_node: working.Node) -> None:
    triage_series.triage("1.2.3", _bench(sqlite_node))


@dataclasses.dataclass
class _Failing(working.Engine):
    failure: Exception

    def predict(self, plane: finding.Plane, stack: np.ndarray, core: finding.Core) -> np.ndarray:
        raise self.failure


@pytest.mark.parametrize(
    "failure", [MemoryError(), OSError(5, "input/output error"), errors.StorageError("x"), KeyError("x")], ids=repr
)
def test_a_failure_that_may_pass_is_tried_again_and_then_given_up(
    sqlite_node: working.Node, files: list[pathlib.Path], failure: Exception
) -> None:
    uid = working.queue_series(sqlite_node, files)
    triage_series.triage(uid, _bench(sqlite_node, _Failing(failure)))
    first = sqlite_node.newest(uid)
    assert (first.phase, first.outcome) == (domain.RunPhase.QUEUED, domain.Outcome.PENDING)
    triage_series.triage(uid, _bench(sqlite_node))
    assert sqlite_node.newest(uid).phase == domain.RunPhase.QUEUED, "it waits before it is tried again"
    later = domain.utc_now() + dt.timedelta(seconds=triage_series.LONGEST_RETRY_SECONDS)
    triage_series.triage(uid, _bench(sqlite_node, _Failing(failure), clock=lambda: later))
    last = sqlite_node.newest(uid)
    assert (last.phase, last.outcome) == (domain.RunPhase.FAILED, domain.Outcome.FAILED)


def test_a_failure_for_good_is_not_tried_again(sqlite_node: working.Node, files: list[pathlib.Path]) -> None:
    uid = working.queue_series(sqlite_node, files)
    triage_series.triage(uid, _bench(sqlite_node, _Failing(errors.ModelError("x"))))
    assert sqlite_node.newest(uid).outcome == domain.Outcome.FAILED


@dataclasses.dataclass
class _Nan(working.Engine):
    def predict(self, plane: finding.Plane, stack: np.ndarray, core: finding.Core) -> np.ndarray:
        return np.full((len(stack), core[2] - core[0], core[3] - core[1]), np.nan, np.float32)


def test_an_answer_that_is_not_finite_is_indeterminate(sqlite_node: working.Node, files: list[pathlib.Path]) -> None:
    uid = working.queue_series(sqlite_node, files)
    triage_series.triage(uid, _bench(sqlite_node, _Nan()))
    assert sqlite_node.newest(uid).outcome == domain.Outcome.INDETERMINATE
    assert reasons.ReasonCode.NON_FINITE in _codes(sqlite_node.newest(uid))


def test_a_file_gone_from_the_spool_is_indeterminate(sqlite_node: working.Node, files: list[pathlib.Path]) -> None:
    uid = working.queue_series(sqlite_node, files)
    sqlite_node.spool.absolute(next(iter(sqlite_node.spool.walk()))).unlink()
    triage_series.triage(uid, _bench(sqlite_node))
    assert sqlite_node.newest(uid).outcome == domain.Outcome.INDETERMINATE
    assert _codes(sqlite_node.newest(uid)) == {reasons.ReasonCode.MISSING_FILE}


def test_a_file_altered_in_the_spool_after_its_success_is_a_doubt(
    sqlite_node: working.Node, files: list[pathlib.Path]
) -> None:
    uid = working.queue_series(sqlite_node, files)
    path = sqlite_node.spool.absolute(next(iter(sqlite_node.spool.walk())))
    path.write_bytes(path.read_bytes()[:-5000])
    triage_series.triage(uid, _bench(sqlite_node))
    assert sqlite_node.newest(uid).outcome == domain.Outcome.INDETERMINATE
    assert _codes(sqlite_node.newest(uid)) == {reasons.ReasonCode.MISSING_FILE}


def test_an_image_that_came_cut_off_is_a_doubt(
    sqlite_node: working.Node, files: list[pathlib.Path], tmp_path: pathlib.Path
) -> None:
    cut = tmp_path / "cut.dcm"
    cut.write_bytes(files[0].read_bytes()[:-5000])
    uid = working.queue_series(sqlite_node, [cut, *files[1:]])
    triage_series.triage(uid, _bench(sqlite_node, working.Engine(accepts=False)))
    assert sqlite_node.newest(uid).outcome == domain.Outcome.INDETERMINATE
    assert reasons.ReasonCode.UNREADABLE_IMAGE in _codes(sqlite_node.newest(uid))


@pytest.mark.parametrize("accepts", [True, False])
@pytest.mark.parametrize("other_pixels", [True, False])
def test_a_copy_kept_aside_counts_only_if_it_is_another_image(
    sqlite_node: working.Node, files: list[pathlib.Path], other_pixels: bool, accepts: bool
) -> None:
    aside = _aside(sqlite_node, files[20], other_pixels)
    uid = working.queue_series(sqlite_node, files, extra=[aside])
    triage_series.triage(uid, _bench(sqlite_node, working.Engine(accepts=accepts)))
    done = sqlite_node.newest(uid)
    assert (reasons.ReasonCode.CONFLICTING_COPIES in _codes(done)) == other_pixels
    if other_pixels:
        assert done.outcome == domain.Outcome.INDETERMINATE
        assert done.agatston is None
    elif accepts:
        assert done.outcome == domain.Outcome.PRESENT


def _aside(node: working.Node, path: pathlib.Path, other_pixels: bool) -> domain.Instance:
    image = pydicom.dcmread(path)
    image.PatientName = "Corrected^Name"
    if other_pixels:
        image.PixelData = np.roll(image.pixel_array, 3).tobytes()
    data = working.to_bytes(image)
    stored = node.spool.store_aside(image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID, data)
    return headers.Header(data).instance(stored, domain.InstanceKind.ASIDE)


def test_a_negative_of_an_incomplete_series_is_indeterminate(
    sqlite_node: working.Node, files: list[pathlib.Path]
) -> None:
    aborted = reasons.reason(reasons.ReasonCode.ASSOCIATION_ABORTED)
    uid = working.queue_series(sqlite_node, files, missing=(aborted,))
    triage_series.triage(uid, _bench(sqlite_node, working.Engine(accepts=False)))
    assert sqlite_node.newest(uid).outcome == domain.Outcome.INDETERMINATE
    assert reasons.ReasonCode.ASSOCIATION_ABORTED in _codes(sqlite_node.newest(uid))


def test_a_lost_lease_leaves_the_run_to_its_new_owner(sqlite_node: working.Node, files: list[pathlib.Path]) -> None:
    uid = working.queue_series(sqlite_node, files)

    @dataclasses.dataclass
    class Robbed(working.Engine):
        def predict(self, plane: finding.Plane, stack: np.ndarray, core: finding.Core) -> np.ndarray:
            later = domain.utc_now() + dt.timedelta(hours=1)
            assembly.expire_leases(sqlite_node.db, later, 4, sqlite_node.rules)
            return super().predict(plane, stack, core)

    triage_series.triage(uid, _bench(sqlite_node, Robbed()))
    (only,) = sqlite_node.history(uid)
    assert (only.phase, only.outcome) == (domain.RunPhase.QUEUED, domain.Outcome.PENDING)
