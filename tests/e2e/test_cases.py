"""What becomes of awkward series: each test is a line of docs/CASES.md.

The nets of these tests answer 0 everywhere: they miss all calcium, so whatever is not `low` here is held back by
the node's own care, not by luck. The first test shows that the undisturbed scan does become `low`.
"""

import dataclasses
import pathlib
import shutil
import socket
from collections.abc import Callable

import numpy as np
import pydicom
import pytest
from pydicom import uid

from cac import finding, volume
from cac.phantom import scan
from tests import little_node
from triage import domain
from triage.db import runs, session
from triage.dicom import phantom_series

SMALL = scan.Style(matrix=256, pixel=1.0)
LOW = domain.Priority.LOW


@pytest.fixture(scope="module")
def zero() -> scan.Phantom:
    return scan.make(agatston=0, seed=11, increment=3.0, style=SMALL)


@pytest.fixture
def node(tmp_path):
    with little_node.running(tmp_path / "home", little_node.ConstantEngine(0.0)) as running:
        yield running


@pytest.fixture
def write(tmp_path, zero):
    def written(name: str = "a", made: object = None, **header: object) -> list[pathlib.Path]:
        stated = phantom_series.Header(**header)
        return phantom_series.write_series(made or zero, tmp_path / "scans" / name, seed=11, header=stated)

    return written


def edit(paths: list[pathlib.Path], change: Callable[[pydicom.Dataset], None]) -> list[pathlib.Path]:
    for path in paths:
        image = pydicom.dcmread(path)
        change(image)
        image.save_as(path, enforce_file_format=True)
    return paths


def as_series(paths: list[pathlib.Path], number: str) -> list[pathlib.Path]:
    """Give the images the UIDs of another series of the same study."""

    def rename(image: pydicom.Dataset) -> None:
        image.SeriesInstanceUID += number
        image.SOPInstanceUID += number
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID

    return edit(paths, rename)


def cropped(made: scan.Phantom, slices: slice) -> scan.Phantom:
    image = made.volume
    x, y, z = image.origin
    start = slices.indices(len(image.hu))[0]
    cut = dataclasses.replace(image, hu=image.hu[slices], origin=(x, y, z - start * image.spacing[0]))
    return dataclasses.replace(made, volume=cut)


def codes(row) -> set[str]:
    return {reason.code.value for reason in row.flag.reasons}


def ends(node, outcome: str, *expected: str) -> None:
    """Let everything happen; then the only study must have this outcome, these reasons, and its place."""
    node.settle()
    node.give_up_waiting()
    row = node.only()
    assert row.flag.priority is not LOW
    assert row.flag.outcome.value == outcome
    assert set(expected) <= codes(row)


def test_a_complete_suitable_negative_becomes_low(node, write):
    node.send(*write())
    node.settle()
    assert (node.only().flag.priority, node.only().flag.outcome.value) == (LOW, "absent")


def test_a_late_image_withdraws_low_and_a_new_run_restores_it(node, write):
    paths = write()
    edit(paths, lambda image: image.pop("NumberOfSeriesRelatedInstances"))
    node.send(*paths[:-1])
    node.settle()
    assert node.only().flag.priority is LOW
    node.send(paths[-1])
    assert node.only().flag.priority is not LOW
    node.settle()
    assert node.only().flag.priority is LOW
    assert node.only().images_received == len(paths)


def test_a_late_series_withdraws_low_until_it_is_negative_too(node, write):
    node.send(*write())
    node.settle()
    assert node.only().flag.priority is LOW
    node.send(*as_series(write("b"), ".1"))
    assert node.only().flag.priority is not LOW
    node.settle()
    assert node.only().flag.priority is LOW


def test_a_resend_changes_nothing(node, write):
    paths = write()
    node.send(*paths)
    node.settle()
    before = node.only()
    report = node.send(*paths)
    assert report.sent == len(paths)
    node.settle()
    assert node.only() == before


def test_the_same_uid_with_another_image_is_kept_aside_and_ends_indeterminate(node, write):
    paths = write()
    node.send(*paths)
    node.settle()

    def alter(image: pydicom.Dataset) -> None:
        image.PixelData = (image.pixel_array + 1).astype("<i2").tobytes()

    node.send(*edit(paths[20:21], alter))
    assert node.only().flag.priority is not LOW
    ends(node, "indeterminate", "conflicting_copies")


def test_a_corrected_name_on_the_same_image_is_no_conflict(node, write):
    paths = write()
    node.send(*paths)
    node.settle()
    node.send(*edit(paths[20:21], lambda image: setattr(image, "PatientName", "CORRECTED^NAME")))
    node.settle()
    node.give_up_waiting()
    assert "conflicting_copies" not in codes(node.only())


def test_two_series_that_disagree_keep_the_study_where_it_is(node, write):
    node.send(*write())
    node.settle()
    node.use(little_node.ConstantEngine(1.0), "p" * 64)
    node.send(*as_series(write("b"), ".1"))
    node.settle()
    node.give_up_waiting()
    assert node.only().flag.priority is not LOW
    assert node.only().flag.outcome.value == "present"


def test_a_localizer_alone_is_unsuitable(node, write):
    node.send(*write(image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"))[:1])
    ends(node, "unsuitable", "no_eligible_series")


def test_a_localizer_beside_a_negative_has_no_vote(node, write):
    node.send(*write())
    node.send(*as_series(write("b", image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"))[:1], ".1"))
    node.settle()
    node.give_up_waiting()
    assert node.only().flag.priority is LOW


def test_an_aborted_transfer_ends_indeterminate(node, write):
    paths = edit(write(), lambda image: image.pop("NumberOfSeriesRelatedInstances"))
    little_node.send_and_abort(node, paths[:-3])
    ends(node, "indeterminate", "association_aborted")


def test_fewer_images_than_declared_end_indeterminate(node, write):
    node.send(*write(declared=60))
    node.settle()
    assert node.only().flag.outcome.value == "pending"
    ends(node, "indeterminate", "fewer_than_declared")


def test_a_missing_middle_slice_is_named(node, write):
    paths = edit(write(), lambda image: image.pop("NumberOfSeriesRelatedInstances"))
    node.send(*paths[:20], *paths[21:])
    ends(node, "unsuitable", "missing_slices")


@pytest.mark.parametrize(
    ("kept", "reason"), [(slice(22, None), "heart_cut_above"), (slice(None, 24), "heart_cut_below")]
)
def test_a_heart_cut_off_never_becomes_low(node, write, zero, kept, reason):
    node.send(*write(made=cropped(zero, kept)))
    node.settle()
    node.give_up_waiting()
    assert node.only().flag.priority is not LOW
    assert node.only().flag.outcome.value in ("indeterminate", "unsuitable")
    assert codes(node.only()) & {reason, "heart_not_found", "heart_unstable"}


def test_a_single_slice_is_unsuitable(node, write):
    node.send(*edit(write()[:1], lambda image: image.pop("NumberOfSeriesRelatedInstances")))
    ends(node, "unsuitable", "single_slice")


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"contrast_agent": "IOMERON 400"}, "contrast_tag"),
        ({"thickness_mm": 8.0}, "thick_slices"),
        ({"kvp": 140.0}, "kvp_not_120"),
        ({"kvp": None}, "kvp_absent"),
        ({"kernel": "B70f"}, "kernel_not_listed"),
        ({"kernel": None}, "kernel_absent"),
        ({"image_type": ("DERIVED", "SECONDARY", "MIP")}, "derived"),
        ({"rescale": False}, "rescale_absent"),
    ],
    ids=["contrast", "8mm", "140kvp", "no-kvp", "sharp-kernel", "no-kernel", "derived", "no-rescale"],
)
def test_a_header_that_forbids_scoring_is_unsuitable(node, write, header, reason):
    node.send(*write(**header))
    ends(node, "unsuitable", reason)


def test_contrast_seen_in_the_image_alone_is_unsuitable(node, write):
    bright = scan.make(agatston=0, seed=11, increment=3.0, mimics=0, style=dataclasses.replace(SMALL, blood=320.0))
    node.send(*write(made=bright))
    ends(node, "unsuitable", "contrast_image")


def test_lossy_compression_by_tag_is_unsuitable(node, write):
    node.send(*edit(write(), lambda image: setattr(image, "LossyImageCompression", "01")))
    ends(node, "unsuitable", "lossy")


def test_what_is_no_heart_is_never_low(node, write, zero):
    legs = np.full_like(zero.volume.hu, -1000.0)
    legs[:, 80:180, 40:110] = legs[:, 80:180, 146:216] = 50.0
    legs[:, 120:140, 65:85] = legs[:, 120:140, 171:191] = 900.0
    made = dataclasses.replace(zero, volume=dataclasses.replace(zero.volume, hu=legs))
    node.send(*write(made=made))
    ends(node, "unsuitable", "heart_not_found")


@pytest.mark.parametrize("intercept", [-24, -2024])
def test_a_wrong_rescale_is_never_low(node, write, intercept):
    node.send(*edit(write(), lambda image: setattr(image, "RescaleIntercept", intercept)))
    node.settle()
    node.give_up_waiting()
    assert node.only().flag.priority is not LOW
    assert node.only().flag.outcome.value == "unsuitable"


class Broken(little_node.ConstantEngine):
    """Answer NaN in one plane, or fail there."""

    def __init__(self, *, fails: bool) -> None:
        super().__init__(0.0)
        self._fails = fails

    def predict(self, plane: finding.Plane, stack: volume.FloatArray) -> volume.FloatArray:
        answer = super().predict(plane, stack)
        if plane is finding.Plane.CORONAL:
            if self._fails:
                raise RuntimeError("no such net")
            answer[:] = np.nan
        return answer


def test_not_a_number_from_a_net_ends_indeterminate(node, write):
    noisy = scan.make(agatston=0, seed=12, increment=3.0, mimics=6, style=SMALL)
    node.use(Broken(fails=False), "n" * 64)
    node.send(*write(made=noisy))
    ends(node, "indeterminate", "non_finite")


def test_one_net_missing_ends_failed(node, write):
    noisy = scan.make(agatston=0, seed=12, increment=3.0, mimics=6, style=SMALL)
    node.use(Broken(fails=True), "n" * 64)
    node.send(*write(made=noisy))
    ends(node, "failed")


def test_a_changed_model_set_never_lowers_over_an_earlier_positive_by_itself(node, write):
    node.use(little_node.ConstantEngine(1.0), "1" * 64)
    positive = scan.make(agatston=60, seed=13, increment=3.0, style=SMALL)
    node.send(*write(made=positive))
    node.settle()
    assert node.only().flag.outcome.value == "present"
    node.use(little_node.ConstantEngine(0.0), "2" * 64)
    series = node.series_of_only_study()
    runs.request_again(node.db, series, node.clock(), trigger=domain.RunTrigger.NEW_MODEL)
    node.settle()
    assert node.only().flag.priority is not LOW
    assert "earlier_finding" in codes(node.only())


def test_a_person_may_let_a_new_run_lower(node, write):
    node.use(little_node.ConstantEngine(1.0), "1" * 64)
    positive = scan.make(agatston=60, seed=13, increment=3.0, style=SMALL)
    node.send(*write(made=positive))
    node.settle()
    node.use(little_node.ConstantEngine(0.0), "2" * 64)
    runs.request_again(node.db, node.series_of_only_study(), node.clock())
    node.settle()
    assert node.only().flag.priority is LOW


def test_a_chest_ct_without_calcium_is_absent_but_keeps_its_place(node, write):
    node.send(*write(study_description="CT CHEST W/O CONTRAST", body_part="CHEST"))
    ends(node, "absent", "not_admitted")


def test_a_truncated_file_is_never_low(node, write):
    paths = write()
    paths[20].write_bytes(paths[20].read_bytes()[:-40_000])
    node.send(*paths)
    node.settle()
    node.give_up_waiting()
    assert node.only().flag.priority is not LOW


def test_garbage_bytes_are_refused_and_the_listener_lives(node, write):
    with socket.create_connection(("127.0.0.1", node.receiver.port)) as peer:
        peer.sendall(b"\x00garbage" * 400)
    node.send(*write())
    node.settle()
    assert node.only().flag.priority is LOW


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 100", "M\xfcller^J\xf6rg"),
        ("ISO_IR 192", "\u5c71\u7530^\u592a\u90ce"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=\u5c71\u7530^\u592a\u90ce"),
    ],
    ids=["latin-1", "utf-8", "iso-2022"],
)
def test_odd_character_sets_survive(node, write, charset, name):
    def rename(image: pydicom.Dataset) -> None:
        image.SpecificCharacterSet = charset
        image.PatientName = name

    node.send(*edit(write(), rename))
    node.settle()
    assert node.only().flag.priority is LOW
    assert name in node.only().patient_name


def test_missing_patient_tags_are_no_obstacle(node, write):
    def strip(image: pydicom.Dataset) -> None:
        for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber"):
            delattr(image, keyword)

    node.send(*edit(write(), strip))
    node.settle()
    assert node.only().flag.outcome.value == "absent"


def test_two_patients_in_one_study_are_never_low(node, write):
    node.send(*write())
    node.settle()
    other = as_series(write("b"), ".1")
    node.send(*edit(other, lambda image: setattr(image, "PatientID", "SOMEBODY-ELSE")))
    assert node.only().flag.priority is not LOW
    ends(node, "indeterminate", "two_patients")


def test_a_database_restored_from_before_the_newest_images_finds_them_again(tmp_path, write):
    paths = edit(write(), lambda image: image.pop("NumberOfSeriesRelatedInstances"))
    home = tmp_path / "home"
    with little_node.running(home, little_node.ConstantEngine(0.0)) as node:
        node.send(*paths[:30])
    shutil.copy(home / "cac-triage.sqlite", tmp_path / "backup.sqlite")
    with little_node.running(home, little_node.ConstantEngine(0.0)) as node:
        node.send(*paths[30:])
        node.settle()
    for stale in home.glob("cac-triage.sqlite*"):
        stale.unlink()
    shutil.copy(tmp_path / "backup.sqlite", home / "cac-triage.sqlite")
    with little_node.running(home, little_node.ConstantEngine(0.0)) as node:
        assert node.only().images_received == len(paths)
        node.settle()
        assert node.only().flag.priority is LOW


def test_an_enhanced_ct_is_kept_and_unsuitable(node, write):
    def enhance(image: pydicom.Dataset) -> None:
        image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = uid.EnhancedCTImageStorage

    node.send(*edit(write()[:1], enhance))
    ends(node, "unsuitable", "enhanced_ct")


def test_a_database_file_is_whole_after_all_this(node, write):
    node.send(*write())
    assert isinstance(node.db, session.Database)
    assert session.at_head(node.config.database)
