"""Slices form one regular axial volume, or are told what is wrong with them."""

import dataclasses
import math

import pytest

from cac import errors, reasons, volume

Code = reasons.ReasonCode


def slices(heights: list[float], **changes: object) -> list[volume.Pose]:
    usual = volume.Pose(
        position=(-100.0, -120.0, 0.0),
        orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        spacing=(0.5, 0.4),
        rows=512,
        columns=256,
        thickness=3.0,
    )
    return [dataclasses.replace(usual, position=(-100.0, -120.0, z), **changes) for z in heights]


def refusal(poses: list[volume.Pose]) -> reasons.Reason:
    with pytest.raises(errors.GeometryError) as caught:
        volume.stack(poses)
    return caught.value.reason


def changed(poses: list[volume.Pose], index: int, **changes: object) -> list[volume.Pose]:
    return [dataclasses.replace(pose, **changes) if i == index else pose for i, pose in enumerate(poses)]


def test_slices_are_ordered_from_head_to_feet() -> None:
    stacking = volume.stack(slices([3.0, 9.0, 0.0, 6.0]))
    assert stacking.order == (1, 3, 0, 2)
    assert stacking.increment == pytest.approx(3.0)
    assert stacking.origin == (-100.0, -120.0, 9.0)
    assert not stacking.flip_rows
    assert not stacking.flip_columns


def test_a_prone_series_is_flipped_and_its_origin_is_the_opposite_corner() -> None:
    stacking = volume.stack(slices([0.0, 3.0], orientation=(-1.0, 0.0, 0.0, 0.0, -1.0, 0.0)))
    assert stacking.flip_rows
    assert stacking.flip_columns
    assert stacking.order == (1, 0)
    assert stacking.origin == pytest.approx((-100 - 255 * 0.4, -120 - 511 * 0.5, 3.0))


def test_a_series_turned_about_the_long_axis_of_its_rows_alone_is_flipped_in_rows() -> None:
    stacking = volume.stack(slices([0.0, 3.0], orientation=(1.0, 0.0, 0.0, 0.0, -1.0, 0.0)))
    assert (stacking.flip_rows, stacking.flip_columns, stacking.order) == (True, False, (1, 0))


def test_jitter_of_real_scanners_is_taken() -> None:
    assert volume.stack(slices([0.0, 2.95, 6.05, 9.0])).increment == pytest.approx(3.0)


def test_one_slice_is_no_volume() -> None:
    assert refusal(slices([0.0])).code == Code.SINGLE_SLICE


def test_no_slice_is_no_volume() -> None:
    assert refusal([]).code == Code.SINGLE_SLICE


def test_a_missing_middle_slice_is_named_with_its_gap() -> None:
    reason = refusal(slices([0.0, 3.0, 9.0, 12.0]))
    assert reason.code == Code.MISSING_SLICES
    assert "6.00 mm" in reason.text


def test_every_second_slice_missing_at_one_end_is_missing() -> None:
    assert refusal(slices([0.0, 3.0, 6.0, 12.0, 18.0, 24.0])).code == Code.MISSING_SLICES


def test_a_position_that_occurs_twice_is_a_duplicate() -> None:
    reason = refusal(slices([0.0, 3.0, 3.0, 6.0]))
    assert reason.code == Code.DUPLICATE_SLICES
    assert reason.text.startswith("1 ")


def test_uneven_steps_are_told_from_missing_slices() -> None:
    assert refusal(slices([0.0, 3.0, 7.3, 10.0])).code == Code.UNEVEN_SPACING


def test_a_tilted_gantry_shears_the_stack() -> None:
    angle = math.radians(15)
    tilted = slices([0.0, 3.0, 6.0], orientation=(1.0, 0.0, 0.0, 0.0, math.cos(angle), -math.sin(angle)))
    assert refusal(tilted).code == Code.TILTED


def test_positions_that_drift_sideways_are_tilted() -> None:
    poses = slices([0.0, 3.0, 6.0])
    assert refusal(changed(poses, 2, position=(-98.5, -120.0, 6.0))).code == Code.TILTED


@pytest.mark.parametrize(
    "orientation", [(0.0, 1.0, 0.0, 0.0, 0.0, -1.0), (1.0, 0.0, 0.0, 0.0, 0.0, -1.0), (0.0, 1.0, 0.0, -1.0, 0.0, 0.0)]
)
def test_sagittal_coronal_and_turned_images_are_not_axial(orientation: tuple[float, ...]) -> None:
    assert refusal(slices([0.0, 3.0], orientation=orientation)).code == Code.NOT_AXIAL


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("orientation", {"orientation": (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)}),
        ("size", {"rows": 256}),
        ("pixel spacing", {"spacing": (0.6, 0.6)}),
        ("positions", {"position": None}),
        ("positions", {"position": (0.0, 0.0, math.nan)}),
        ("orientation", {"orientation": None}),
        ("pixel spacing", {"spacing": None}),
    ],
)
def test_images_that_differ_or_do_not_say_are_mixed(what: str, changes: dict[str, object]) -> None:
    reason = refusal(changed(slices([0.0, 3.0, 6.0]), 1, **changes))
    assert reason.code == Code.MIXED_GEOMETRY
    assert what in reason.text
