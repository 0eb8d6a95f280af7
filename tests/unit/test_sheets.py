import numpy as np
import pytest

from cac import components, errors, finding, sheets, sparse, views
from tests import fakes
from tests.grids import SPEC, box, dense, ramp, scan_with, voxels_at

EVALUATIONS = pytest.mark.parametrize("evaluate", [dense, sparse.probabilities])


def whole(cropped: views.Crop, plane: finding.Plane, number: int) -> np.ndarray:
    (sheet,) = sheets.sheets(cropped, plane, SPEC)
    return sheet.whole(np.array([number]))


@pytest.mark.parametrize(
    ("plane", "cut"),
    [
        (finding.Plane.AXIAL, lambda hu: hu[1]),
        (finding.Plane.SAGITTAL, lambda hu: hu[:, :, 1]),
        (finding.Plane.CORONAL, lambda hu: hu[:, 1]),
    ],
)
def test_each_plane_shows_its_own_axes(plane: finding.Plane, cut: object) -> None:
    cropped = views.crop(scan_with(ramp()), box(), SPEC)
    stack = whole(cropped, plane, 1)
    image = cut(cropped.hu)  # type: ignore[operator]
    np.testing.assert_allclose(stack[0, 0], np.clip((image + 200) / 1000, 0, 1), atol=1e-5)
    np.testing.assert_array_equal(stack[0, 1], image >= 130)


def test_height_and_width_are_padded_with_air_to_the_stride() -> None:
    cropped = views.crop(scan_with(np.full((5, 40, 40), 500)), box(slices=(0, 5)), SPEC)
    stack = whole(cropped, finding.Plane.CORONAL, 3)
    assert stack.shape == (1, 2, 8, 32)
    assert (stack[0, :, 5:] == 0).all()


def test_the_paper_profile_appends_empty_slices() -> None:
    cropped = views.crop(scan_with(np.full((5, 40, 40), 500)), box(slices=(0, 5)), SPEC, finding.Profile.PAPER)
    assert whole(cropped, finding.Plane.SAGITTAL, 3).shape == (1, 2, 120, 32)


def binary(plane: finding.Plane, stack: np.ndarray, core: finding.Core) -> np.ndarray:
    return fakes.answered(stack, core)


@EVALUATIONS
@pytest.mark.parametrize("slices", [5, 120, 121, 300])
def test_every_slice_of_a_stack_is_answered_however_long(slices: int, evaluate) -> None:
    hu = np.where(np.random.default_rng(1).random((slices, 16, 16)) < 0.1, 300.0, 0.0)
    cropped = views.crop(scan_with(hu), box(16, (0, slices), 8.0), SPEC)
    voxels = components.find(hu >= 130)
    for _, answer in evaluate(cropped, binary, voxels, SPEC):
        np.testing.assert_array_equal(answer[hu >= 130], 1)


@EVALUATIONS
def test_overlapping_parts_of_the_slices_merge_by_the_larger_probability(evaluate) -> None:
    hu = np.zeros((150, 16, 16))
    hu[:, 8, 2] = 300
    cropped = views.crop(scan_with(hu), box(16, (0, 150), 8.0), SPEC)
    calls: list[int] = []

    def first_part_is_sure(plane: finding.Plane, stack: np.ndarray, core: finding.Core) -> np.ndarray:
        if plane is finding.Plane.SAGITTAL:
            calls.append(stack.shape[2])
        return np.full(fakes.answered(stack, core).shape, 0.9 if len(calls) == 1 else 0.1, dtype=np.float32)

    answer = dict(evaluate(cropped, first_part_is_sure, components.find(hu >= 130), SPEC))[finding.Plane.SAGITTAL]
    np.testing.assert_allclose(answer[:120, 8, 2], 0.9)
    np.testing.assert_allclose(answer[120:, 8, 2], 0.1)
    assert calls == [120, 120]


@EVALUATIONS
@pytest.mark.parametrize("wrong", ["nan", "above", "below", "shape"])
def test_an_answer_that_is_no_probability_map_is_an_error(wrong: str, evaluate) -> None:
    cropped = views.crop(scan_with(ramp()), box(), SPEC)

    def predict(plane: finding.Plane, stack: np.ndarray, core: finding.Core) -> np.ndarray:
        answer = fakes.answered(stack, core).copy()
        if wrong == "shape":
            return answer[:, :-1]
        answer[0, 0, 0] = {"nan": np.nan, "above": 1.5, "below": -0.1}[wrong]
        return answer

    with pytest.raises(errors.PredictionError):
        list(evaluate(cropped, predict, voxels_at((4, 40, 40), (1, 20, 20)), SPEC))


def test_a_window_that_was_not_asked_about_is_an_error_and_never_a_zero(monkeypatch) -> None:
    cropped = views.crop(scan_with(ramp()), box(), SPEC)
    monkeypatch.setattr(sparse.Plan, "calls", lambda _: iter(()))
    with pytest.raises(errors.PredictionError, match="not asked"):
        list(sparse.probabilities(cropped, binary, voxels_at((4, 40, 40), (1, 20, 20)), SPEC))
