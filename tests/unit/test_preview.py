"""The picture of a result is the same every time, names its outcome, and shows the mask."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from cac import finding, reasons, volume
from triage import preview

SHAPE = (12, 80, 90)


def _volume() -> volume.Volume:
    hu = np.random.default_rng(5).normal(40, 20, SHAPE).astype(np.float32)
    return volume.Volume(hu=hu, spacing=(3.0, 0.5, 0.5), thickness=3.0)


def _finding(outcome: finding.Outcome, mask: np.ndarray | None, **more: object) -> finding.CalciumFinding:
    return finding.CalciumFinding(
        outcome=outcome,
        reasons=(),
        profile=finding.Profile.DEFAULT,
        mask=mask,
        doubt_mask=None if mask is None else np.zeros(SHAPE, bool),
        **more,
    )


def _colours(png: bytes) -> set[tuple[int, ...]]:
    picture = np.array(Image.open(io.BytesIO(png)))[preview.BANNER :]
    return {tuple(int(v) for v in pixel) for pixel in np.unique(picture.reshape(-1, 3), axis=0)}


def test_the_same_finding_gives_the_same_picture() -> None:
    found = _finding(finding.Outcome.ABSENT, np.zeros(SHAPE, bool))
    assert preview.render(found, _volume()) == preview.render(found, _volume())


def test_accepted_calcium_is_outlined() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[4:6, 30:33, 40:43] = True
    assert preview.ACCEPTED_RGB in _colours(preview.render(_finding(finding.Outcome.PRESENT, mask), _volume()))


def _shown(found: finding.CalciumFinding, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the titles of a picture's tiles."""
    titles: list[str] = []
    tile = preview._tile
    monkeypatch.setattr(preview, "_tile", lambda *args: titles.append(args[-1]) or tile(*args))
    preview.render(found, _volume())
    return titles


def test_large_doubts_do_not_crowd_out_accepted_calcium(monkeypatch: pytest.MonkeyPatch) -> None:
    mask, doubt = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    mask[2, 30, 40] = True
    doubt[3:11, 5:60, 5:60] = True
    found = dataclasses.replace(_finding(finding.Outcome.PRESENT, mask), doubt_mask=doubt)
    assert "z = -6.0 mm" in _shown(found, monkeypatch)


def test_bone_in_doubt_does_not_crowd_out_a_small_spot_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    doubt = np.zeros(SHAPE, bool)
    doubt[0, 70, 70] = True
    doubt[3:12, 5:60, 5:60] = True
    found = dataclasses.replace(_finding(finding.Outcome.INDETERMINATE, np.zeros(SHAPE, bool)), doubt_mask=doubt)
    assert "z = 0.0 mm" in _shown(found, monkeypatch)


def test_every_mark_is_seen_before_one_is_seen_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = np.zeros(SHAPE, bool)
    mask[0:7, 5:40, 5:40] = True
    mask[9, 60, 60] = mask[11, 70, 10] = True
    titles = _shown(_finding(finding.Outcome.PRESENT, mask), monkeypatch)
    assert {"z = -27.0 mm", "z = -33.0 mm"} <= set(titles)
    assert len(titles) == preview.SLICES + 1


def test_a_heart_that_was_located_is_shown_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    region = (slice(4, 10), slice(20, 60), slice(30, 70))
    found = dataclasses.replace(_finding(finding.Outcome.UNSUITABLE, None), region=region)
    heights = [-float(title.split()[2]) / 3 for title in _shown(found, monkeypatch)[:-1]]
    assert heights
    assert all(4 <= k < 10 for k in heights)


def test_an_overridden_suitability_is_said_on_the_picture() -> None:
    usual = _finding(finding.Outcome.INDETERMINATE, None)
    studied = dataclasses.replace(usual, reasons=(reasons.reason(reasons.ReasonCode.SUITABILITY_IGNORED),))
    assert preview.render(usual, _volume()) != preview.render(studied, _volume())


def test_a_negative_shows_slices_without_an_outline() -> None:
    png = preview.render(_finding(finding.Outcome.ABSENT, np.zeros(SHAPE, bool)), _volume())
    assert preview.ACCEPTED_RGB not in _colours(png)
    assert Image.open(io.BytesIO(png)).size == (preview.COLUMNS * preview.TILE, 2 * preview.TILE + preview.BANNER)


def test_a_candidate_names_the_slice_that_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    each = finding.Candidate(
        number=1,
        centre=(0.0, 0.0, -9.0),
        slice_number=4,
        voxels=3,
        volume_mm3=2.0,
        max_hu=150.0,
        probabilities=dict.fromkeys(finding.Plane, 0.3),
        status=finding.CandidateStatus.REJECTED,
        reason=reasons.reason(reasons.ReasonCode.NO_PLANE_SUSPECTS, planes=""),
    )
    found = _finding(finding.Outcome.ABSENT, np.zeros(SHAPE, bool), candidates=(each,))
    assert _shown(found, monkeypatch)[:-1] == ["z = -9.0 mm"]


@pytest.mark.parametrize("outcome", list(finding.Outcome))
def test_every_outcome_has_a_picture(outcome: finding.Outcome) -> None:
    assert preview.render(_finding(outcome, None), _volume()).startswith(b"\x89PNG")


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 700, 512), (2, 40, 300)])
def test_images_of_any_shape_fit(shape: tuple[int, int, int]) -> None:
    scan = volume.Volume(hu=np.zeros(shape, np.float32), spacing=(3.0, 0.9, 0.4), thickness=3.0)
    assert preview.render(_finding(finding.Outcome.UNSUITABLE, None), scan)
