import numpy as np
import pytest

from cac import components, errors, finding, heart, views, volume

LEVELS = {plane: finding.Levels(accept=0.5, low=0.2, high=0.8) for plane in finding.Plane}
SPEC = finding.NetSpec(levels=LEVELS)


def scan_with(hu: np.ndarray, pixel: float = 0.5) -> volume.Volume:
    return volume.Volume(hu=hu.astype(np.float32), spacing=(1.5, pixel, pixel), thickness=3.0)


def ramp(slices: int = 4, size: int = 40) -> np.ndarray:
    number, row, column = np.mgrid[:slices, :size, :size]
    return 100.0 * number + 2.0 * row + 0.25 * column


def box(size: int = 40, slices: tuple[int, int] = (0, 4), mm: float = 16.0) -> heart.Box:
    middle = (size - 1) / 2
    return heart.Box(centre=(middle, middle), size_mm=(mm, mm), slices=slices)


def voxels_at(shape: tuple[int, ...], *where: tuple[int, int, int]) -> components.Components:
    mask = np.zeros(shape, dtype=bool)
    for place in where:
        mask[place] = True
    return components.find(mask)


def test_a_grid_of_the_same_spacing_is_copied() -> None:
    hu = ramp()
    cropped = views.crop(scan_with(hu), box(), SPEC)
    np.testing.assert_allclose(cropped.hu, hu[:, 4:36, 4:36], atol=1e-3)


@pytest.mark.parametrize("pixel", [0.3, 0.4, 0.7, 1.0])
def test_a_linear_image_survives_resampling(pixel: float) -> None:
    cropped = views.crop(scan_with(ramp(), pixel), box(mm=8.0), SPEC)
    rows, columns = cropped.rows.to_source(), cropped.columns.to_source()
    expected = 100.0 + 2.0 * rows[:, None] + 0.25 * columns
    np.testing.assert_allclose(cropped.hu[1], expected, atol=1e-2)


def test_outside_the_image_is_air() -> None:
    cropped = views.crop(scan_with(np.zeros((4, 40, 40))), box(mm=24.0, slices=(-1, 5)), SPEC)
    assert cropped.hu.shape == (6, 48, 48)
    assert (cropped.hu[0] == views.AIR_HU).all()
    assert (cropped.hu[5] == views.AIR_HU).all()
    assert (cropped.hu[2, :4] == views.AIR_HU).all()
    assert (cropped.hu[2, 4:44, 4:44] == 0).all()


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
    stack = views.stack_for(cropped, plane, np.array([1]), SPEC)
    image = cut(cropped.hu)  # type: ignore[operator]
    np.testing.assert_allclose(stack[0, 0], np.clip((image + 200) / 1000, 0, 1), atol=1e-5)
    np.testing.assert_array_equal(stack[0, 1], image >= 130)


def test_height_and_width_are_padded_with_air_to_the_stride() -> None:
    cropped = views.crop(scan_with(np.full((5, 40, 40), 500)), box(slices=(0, 5)), SPEC)
    stack = views.stack_for(cropped, finding.Plane.CORONAL, np.array([3]), SPEC)
    assert stack.shape == (1, 2, 8, 32)
    assert (stack[0, :, 5:] == 0).all()


def test_the_paper_profile_appends_empty_slices() -> None:
    cropped = views.crop(scan_with(np.full((5, 40, 40), 500)), box(slices=(0, 5)), SPEC, finding.Profile.PAPER)
    assert views.stack_for(cropped, finding.Plane.SAGITTAL, np.array([3]), SPEC).shape == (1, 2, 120, 32)


def binary(plane: finding.Plane, stack: np.ndarray) -> np.ndarray:
    return stack[:, 1]


@pytest.mark.parametrize("slices", [5, 120, 121, 300])
def test_every_slice_of_a_stack_is_answered_however_long(slices: int) -> None:
    hu = np.where(np.random.default_rng(1).random((slices, 16, 16)) < 0.1, 300.0, 0.0)
    scan = scan_with(hu)
    cropped = views.crop(scan, box(16, (0, slices), 8.0), SPEC)
    needed = {
        finding.Plane.AXIAL: np.arange(slices),
        finding.Plane.SAGITTAL: np.arange(16),
        finding.Plane.CORONAL: np.arange(16),
    }
    for answer in views.probabilities(cropped, binary, needed, SPEC).values():
        np.testing.assert_array_equal(answer > 0, hu >= 130)


def test_overlapping_windows_merge_by_the_larger_probability() -> None:
    cropped = views.crop(scan_with(np.zeros((150, 16, 16))), box(16, (0, 150), 8.0), SPEC)
    calls: list[int] = []

    def first_window_is_sure(plane: finding.Plane, stack: np.ndarray) -> np.ndarray:
        calls.append(len(calls))
        return np.full((stack.shape[0], *stack.shape[2:]), 0.9 if calls[-1] == 0 else 0.1, dtype=np.float32)

    none = np.empty(0, dtype=np.int64)
    needed = {finding.Plane.AXIAL: none, finding.Plane.SAGITTAL: np.array([2]), finding.Plane.CORONAL: none}
    answer = views.probabilities(cropped, first_window_is_sure, needed, SPEC)[finding.Plane.SAGITTAL]
    np.testing.assert_allclose(answer[:120, :, 2], 0.9)
    np.testing.assert_allclose(answer[120:, :, 2], 0.1)


@pytest.mark.parametrize("wrong", ["nan", "above", "below", "shape"])
def test_an_answer_that_is_no_probability_map_is_an_error(wrong: str) -> None:
    cropped = views.crop(scan_with(ramp()), box(), SPEC)

    def predict(plane: finding.Plane, stack: np.ndarray) -> np.ndarray:
        if wrong == "shape":
            return stack[:, 1, :-1]
        answer = stack[:, 1].copy()
        answer[0, 0, 0] = {"nan": np.nan, "above": 1.5, "below": -0.1}[wrong]
        return answer

    needed = views.images_with(cropped, voxels_at((4, 40, 40), (1, 20, 20)))
    with pytest.raises(errors.PredictionError):
        views.probabilities(cropped, predict, needed, SPEC)


@pytest.mark.parametrize("pixel", [0.3, 0.4, 0.49, 0.5, 0.7, 1.0])
def test_every_voxel_gets_its_own_answer_back(pixel: float) -> None:
    """A voxel's answer is marked on the samples it covers: it must come back, whatever the spacing."""
    scan = scan_with(ramp(), pixel)
    cropped = views.crop(scan, box(mm=10.0), SPEC)
    for place in [(0, 17, 22), (3, 20, 19), (2, 15, 15)]:
        voxel = voxels_at((4, 40, 40), place)
        needed = views.images_with(cropped, voxel)
        answer = np.zeros(cropped.hu.shape, dtype=np.float32)
        last = (needed[p][-1] for p in (finding.Plane.AXIAL, finding.Plane.CORONAL, finding.Plane.SAGITTAL))
        answer[tuple(last)] = 0.7
        assert views.to_source(cropped, answer, voxel) == pytest.approx(0.7)


def test_a_coarse_pixel_takes_the_largest_answer_within_it_and_none_beyond() -> None:
    cropped = views.crop(scan_with(ramp(), 1.0), box(mm=10.0), SPEC)
    answer = np.zeros(cropped.hu.shape, dtype=np.float32)
    centre = int(np.floor(cropped.rows.to_grid(np.array([20]))[0]))
    answer[1, centre, centre] = 0.4
    answer[1, centre + 1, centre] = 0.6
    answer[1, centre + 3, centre] = 0.9
    assert views.to_source(cropped, answer, voxels_at((4, 40, 40), (1, 20, 20))) == pytest.approx(0.6)


def test_a_voxel_outside_the_crop_is_refused() -> None:
    cropped = views.crop(scan_with(ramp()), box(), SPEC)
    with pytest.raises(ValueError, match="outside"):
        views.to_source(cropped, np.zeros(cropped.hu.shape, np.float32), voxels_at((4, 40, 40), (1, 1, 20)))


@pytest.mark.parametrize("pixel", [0.35, 0.5, 0.8])
def test_asking_only_for_images_with_voxels_answers_them_as_asking_for_all(pixel: float) -> None:
    scan = scan_with(np.random.default_rng(5).normal(100, 60, (6, 40, 40)), pixel)
    cropped = views.crop(scan, box(slices=(0, 6), mm=12.0), SPEC)
    voxels = voxels_at((6, 40, 40), (1, 17, 22), (4, 20, 21), (4, 21, 21))

    def predict(plane: finding.Plane, stack: np.ndarray) -> np.ndarray:
        return np.clip(stack[:, 0] ** 2 + np.roll(stack[:, 0], 1, axis=2) / 4, 0, 1)

    few = views.images_with(cropped, voxels)
    slices, rows, columns = cropped.hu.shape
    every = dict(zip(finding.Plane, map(np.arange, (slices, columns, rows)), strict=True))
    sparse, dense = (views.probabilities(cropped, predict, needed, SPEC) for needed in (few, every))
    for plane in finding.Plane:
        assert few[plane].size < every[plane].size
        some, full = (views.to_source(cropped, answers[plane], voxels) for answers in (sparse, dense))
        np.testing.assert_array_equal(some, full)
