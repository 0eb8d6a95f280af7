import dataclasses

import numpy as np
import pytest

from cac import agatston, candidates, finding, heart, pipeline, reasons, volume
from cac.phantom import scan
from tests import fakes

STYLE = scan.Style(matrix=256, pixel=0.9, noise=15.0)
Outcome, Code, Plane = finding.Outcome, reasons.ReasonCode, finding.Plane


@pytest.fixture(scope="module")
def calcified() -> scan.Phantom:
    return scan.make(agatston=60, seed=1, increment=3.0, mimics=2, style=STYLE)


@pytest.fixture(scope="module")
def clean() -> scan.Phantom:
    """Make a scan without coronary calcium that has candidates: mimics in and around the heart."""
    return scan.make(agatston=0, seed=4, increment=3.0, mimics=4, style=STYLE)


@pytest.fixture(scope="module")
def located(clean: scan.Phantom) -> heart.Heart:
    found = heart.locate(clean.volume)
    assert found is not None
    return found


def with_hu(scan_volume: volume.Volume, hu: np.ndarray) -> volume.Volume:
    return dataclasses.replace(scan_volume, hu=hu.astype(np.float32))


def without_candidates(scan_volume: volume.Volume) -> volume.Volume:
    """Cap the envelope below 130 HU, again and again until the heart found in what is left holds no candidate."""
    while True:
        found = heart.locate(scan_volume)
        assert found is not None
        if not candidates.find(scan_volume, found.envelope).count:
            return scan_volume
        hu = np.where(found.envelope, np.minimum(scan_volume.hu, 125), scan_volume.hu)
        scan_volume = with_hu(scan_volume, hu)


def codes(found: finding.CalciumFinding) -> list[reasons.ReasonCode]:
    return [reason.code for reason in found.reasons]


def test_a_scan_without_coronary_calcium_is_absent(clean: scan.Phantom) -> None:
    found = pipeline.find_calcium(clean.volume, fakes.Oracle(clean.volume, clean.truth), fakes.SPEC)
    assert (found.outcome, codes(found)) == (Outcome.ABSENT, [Code.NO_CALCIUM])
    assert (found.agatston, found.category, found.cac_drs) == (0.0, "0", "A0")
    assert found.mask is not None
    assert not found.mask.any()


def test_every_candidate_keeps_its_three_probabilities(clean: scan.Phantom) -> None:
    found = pipeline.find_calcium(clean.volume, fakes.Constant(0.1), fakes.SPEC)
    assert found.candidates
    for candidate in found.candidates:
        assert candidate.status is finding.CandidateStatus.REJECTED
        assert candidate.probabilities == pytest.approx(dict.fromkeys(Plane, 0.1))


def test_coronary_calcium_is_present_with_its_score(calcified: scan.Phantom) -> None:
    """Every true voxel is in the mask or, where it lies in a single slice of this stack, in doubt."""
    found = pipeline.find_calcium(calcified.volume, fakes.Oracle(calcified.volume, calcified.truth), fakes.SPEC)
    assert found.outcome is Outcome.PRESENT
    assert codes(found)[0] is Code.CALCIUM_ACCEPTED
    assert found.mask is not None
    assert found.doubt_mask is not None
    assert (found.mask | found.doubt_mask)[calcified.truth].all()
    assert found.agatston == pytest.approx(agatston.score(calcified.volume, found.mask))
    assert found.agatston == pytest.approx(sum(lesion.agatston for lesion in found.lesions))
    together = agatston.score(calcified.volume, found.mask | found.doubt_mask)
    assert together == pytest.approx(calcified.agatston, rel=0.25)


def test_nets_that_see_calcium_everywhere_never_end_absent(clean: scan.Phantom) -> None:
    assert pipeline.find_calcium(clean.volume, fakes.Constant(1.0), fakes.SPEC).outcome is Outcome.PRESENT


@pytest.mark.parametrize("plane", list(Plane))
def test_one_sure_plane_puts_a_scan_in_doubt(clean: scan.Phantom, plane: finding.Plane) -> None:
    found = pipeline.find_calcium(clean.volume, fakes.Stubborn(plane, 0.9), fakes.SPEC)
    assert (found.outcome, codes(found)) == (Outcome.INDETERMINATE, [Code.CANDIDATE_IN_DOUBT])
    assert found.agatston is None
    assert found.doubt_mask is not None
    assert found.doubt_mask.any()


@pytest.mark.parametrize("plane", list(Plane))
def test_one_faint_plane_is_no_doubt(clean: scan.Phantom, plane: finding.Plane) -> None:
    assert pipeline.find_calcium(clean.volume, fakes.Stubborn(plane, 0.7), fakes.SPEC).outcome is Outcome.ABSENT


def test_an_answer_that_is_not_a_number_is_indeterminate(clean: scan.Phantom) -> None:
    found = pipeline.find_calcium(clean.volume, fakes.broken, fakes.SPEC)
    assert (found.outcome, codes(found)) == (Outcome.INDETERMINATE, [Code.NON_FINITE])


@pytest.mark.parametrize("plane", list(Plane))
def test_a_missing_net_is_an_error_and_no_finding(clean: scan.Phantom, plane: finding.Plane) -> None:
    with pytest.raises(LookupError):
        pipeline.find_calcium(clean.volume, fakes.Lame(plane), fakes.SPEC)


def test_the_paper_profile_is_never_absent(clean: scan.Phantom) -> None:
    found = pipeline.find_calcium(clean.volume, fakes.Constant(0.0), fakes.SPEC, profile=finding.Profile.PAPER)
    assert (found.outcome, found.profile) == (Outcome.INDETERMINATE, finding.Profile.PAPER)
    assert Code.PROFILE_NOT_DEFAULT in codes(found)


def test_ignoring_suitability_is_never_absent(clean: scan.Phantom) -> None:
    found = pipeline.find_calcium(clean.volume, fakes.Constant(0.0), fakes.SPEC, ignore_suitability=True)
    assert (found.outcome, codes(found)) == (Outcome.INDETERMINATE, [Code.SUITABILITY_IGNORED])


def test_calcium_found_while_ignoring_suitability_stays_present(calcified: scan.Phantom) -> None:
    oracle = fakes.Oracle(calcified.volume, calcified.truth)
    found = pipeline.find_calcium(calcified.volume, oracle, fakes.SPEC, ignore_suitability=True)
    assert found.outcome is Outcome.PRESENT
    assert Code.SUITABILITY_IGNORED in codes(found)


def test_without_candidates_no_net_is_asked(clean: scan.Phantom) -> None:
    nets = fakes.Constant(1.0)
    found = pipeline.find_calcium(without_candidates(clean.volume), nets, fakes.SPEC)
    assert (found.outcome, found.candidates, sum(nets.asked.values())) == (Outcome.ABSENT, (), 0)


def test_the_dense_way_asks_for_every_image(clean: scan.Phantom) -> None:
    nets = fakes.Constant(0.0)
    dense = dataclasses.replace(fakes.SPEC, evaluation=finding.Evaluation.DENSE)
    found = pipeline.find_calcium(clean.volume, nets, dense)
    assert found.region is not None
    assert nets.asked[Plane.AXIAL] == found.region[0].stop - found.region[0].start


def test_windows_show_the_nets_fewer_pixels_than_whole_images(clean: scan.Phantom) -> None:
    seen = {}
    for evaluation in finding.Evaluation:
        nets = fakes.Constant(0.0)
        pipeline.find_calcium(clean.volume, nets, dataclasses.replace(fakes.SPEC, evaluation=evaluation))
        seen[evaluation] = nets.pixels
    assert 0 < seen[finding.Evaluation.SPARSE] < 0.5 * seen[finding.Evaluation.DENSE]


def test_calcium_that_scores_nothing_is_still_present(clean: scan.Phantom, located: heart.Heart) -> None:
    """Give each of two slices one pixel of 0.81 mm2: below 1 mm2, so the score is 0."""
    bare = without_candidates(clean.volume)
    z, y, x = (int(axis.mean()) for axis in np.nonzero(located.core))
    bare.hu[z, y, x] = bare.hu[z + 1, y + 1, x + 1] = 200
    found = pipeline.find_calcium(bare, fakes.Constant(1.0), fakes.SPEC)
    assert (found.outcome, found.agatston) == (Outcome.PRESENT, 0.0)
    assert len(found.lesions) == 1


def test_a_cut_heart_is_never_absent(clean: scan.Phantom, located: heart.Heart) -> None:
    middle = int(np.nonzero(located.core)[0].mean())
    cut = with_hu(clean.volume, clean.volume.hu[middle:])
    found = pipeline.find_calcium(cut, fakes.Constant(0.0), fakes.SPEC)
    assert found.outcome in (Outcome.INDETERMINATE, Outcome.UNSUITABLE)


def test_thick_slices_are_unsuitable_before_any_net_runs(clean: scan.Phantom) -> None:
    nets = fakes.Constant(1.0)
    found = pipeline.find_calcium(dataclasses.replace(clean.volume, thickness=8.0), nets, fakes.SPEC)
    assert (found.outcome, codes(found)) == (Outcome.UNSUITABLE, [Code.THICK_SLICES])
    assert sum(nets.asked.values()) == 0


def test_contrast_in_the_blood_is_unsuitable(clean: scan.Phantom, located: heart.Heart) -> None:
    hu = np.where(located.core, clean.volume.hu + 250, clean.volume.hu)
    found = pipeline.find_calcium(with_hu(clean.volume, hu), fakes.Constant(1.0), fakes.SPEC)
    assert found.outcome is Outcome.UNSUITABLE
    assert Code.CONTRAST_IMAGE in codes(found)


def test_an_overridden_limit_stays_named_and_never_ends_absent(clean: scan.Phantom) -> None:
    thick = dataclasses.replace(clean.volume, thickness=8.0)
    found = pipeline.find_calcium(thick, fakes.Constant(0.0), fakes.SPEC, ignore_suitability=True)
    assert found.outcome is Outcome.INDETERMINATE
    assert codes(found) == [Code.THICK_SLICES, Code.SUITABILITY_IGNORED]


def test_a_voxel_that_is_not_a_number_is_unsuitable(clean: scan.Phantom) -> None:
    hu = clean.volume.hu.copy()
    hu[3, 4, 5] = np.nan
    found = pipeline.find_calcium(with_hu(clean.volume, hu), fakes.Constant(0.0), fakes.SPEC)
    assert (found.outcome, codes(found)) == (Outcome.UNSUITABLE, [Code.RESCALE_IMPLAUSIBLE])


def test_no_chest_is_unsuitable() -> None:
    empty = volume.Volume(hu=np.full((40, 64, 64), -1000, np.float32), spacing=(3.0, 3.0, 3.0), thickness=3.0)
    found = pipeline.find_calcium(empty, fakes.Constant(0.0), fakes.SPEC, ignore_suitability=True)
    assert found.outcome is Outcome.UNSUITABLE
    assert Code.HEART_NOT_FOUND in codes(found)


def thin(scan_volume: volume.Volume) -> volume.Volume:
    """Cut each 3 mm slice into four of 0.75 mm."""
    hu = np.repeat(scan_volume.hu, 4, axis=0)
    return dataclasses.replace(scan_volume, hu=hu, spacing=(0.75, *scan_volume.spacing[1:]), thickness=0.75)


def test_thin_slices_are_scored_as_slabs(calcified: scan.Phantom) -> None:
    native = thin(calcified.volume)
    found = pipeline.find_calcium(native, fakes.Constant(0.0), fakes.SPEC)
    assert found.scored is not None
    assert found.scored.spacing[0] == 1.5
    assert len(found.slab_of) == native.hu.shape[0]
    assert found.mask is not None
    assert found.mask[list(found.slab_of)].shape == native.hu.shape


def test_a_plaque_that_slabs_erase_puts_a_scan_in_doubt(clean: scan.Phantom, located: heart.Heart) -> None:
    native = thin(with_hu(clean.volume, np.where(located.core, np.minimum(clean.volume.hu, 60), clean.volume.hu)))
    native = dataclasses.replace(native, hu=native.hu.copy())
    z, y, x = (int(axis.mean()) for axis in np.nonzero(located.core))
    native.hu[4 * z + 1, y : y + 3, x : x + 3] = 260
    found = pipeline.find_calcium(native, fakes.Constant(0.0), fakes.SPEC)
    assert (found.outcome, codes(found)) == (Outcome.INDETERMINATE, [Code.ERASED_BY_SLABS])


def test_each_step_is_timed(clean: scan.Phantom) -> None:
    found = pipeline.find_calcium(clean.volume, fakes.Constant(0.0), fakes.SPEC)
    assert list(found.seconds) == ["slabs", "heart", "candidates", "nets", "fusion", "scores"]
