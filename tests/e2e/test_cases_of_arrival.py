"""What becomes of awkward arrivals: each test is a line of docs/CASES.md.

The nets of these tests answer 0 everywhere: they miss all calcium, so whatever is not `low` here is held back by
the node's own care, not by luck. The first test shows that the undisturbed scan does become `low`.
"""

import shutil
import socket

import pydicom

from cac.phantom import scan
from tests import little_node
from tests.awkward import LOW, SMALL, as_series, codes, edit, ends
from triage import domain
from triage.db import runs


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


def scout(paths):
    """Make a coronal projection of the first image."""
    return edit(paths[:1], lambda image: setattr(image, "ImageOrientationPatient", [1, 0, 0, 0, 0, -1]))


def test_a_localizer_alone_is_unsuitable(node, write):
    node.send(*scout(write(image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"))))
    ends(node, "unsuitable", "no_eligible_series")


def test_a_localizer_beside_a_negative_has_no_vote(node, write):
    node.send(*write())
    node.send(*as_series(scout(write("b", image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"))), ".1"))
    node.settle()
    node.give_up_waiting()
    assert node.only().flag.priority is LOW


def test_axial_slices_that_call_themselves_localizers_keep_a_negative_where_it_is(node, write):
    node.send(*write())
    node.send(*as_series(write("b", image_type=("ORIGINAL", "PRIMARY", "LOCALIZER")), ".1"))
    ends(node, "unsuitable", "localizer")


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


def test_garbage_bytes_are_refused_and_the_listener_lives(node, write):
    with socket.create_connection(("127.0.0.1", node.receiver.port)) as peer:
        peer.sendall(b"\x00garbage" * 400)
    node.send(*write())
    node.settle()
    assert node.only().flag.priority is LOW


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
