"""Phantoms of any anatomy: arteries run on the heart, and the atlas's has calcium where its own run."""

import json
import pathlib

import numpy as np
import pytest
from scipy import ndimage

from cac import heart as finder
from cac.phantom import anatomy, arteries, heart, population, scan, shapes

FILE = pathlib.Path(__file__).parents[2] / "training" / "config" / "anatomy" / "hra_male.json"


@pytest.fixture(scope="module")
def atlas() -> anatomy.Anatomy:
    return anatomy.read(FILE.read_text())


@pytest.fixture(scope="module", params=[21])
def made(request, atlas) -> scan.Phantom:
    return scan.make(agatston=60, seed=request.param, style=scan.Style(matrix=224, pixel=1.0, body=atlas))


def test_the_atlas_gives_another_heart_than_the_standard(atlas):
    standard, other = (
        scan.make(agatston=0, seed=3, style=scan.Style(matrix=96, pixel=2.2, classes=(), body=body)).heart
        for body in (anatomy.STANDARD, atlas)
    )
    assert 0.5 < other.sum() / standard.sum() < 1.5
    assert (standard & other).sum() / (standard | other).sum() < 0.9


def test_its_calcium_scores_as_asked_and_lies_at_the_heart(made):
    near = ndimage.binary_dilation(made.heart, iterations=3)
    assert made.agatston == pytest.approx(60, rel=0.15)
    assert made.truth.any()
    assert near[made.truth].all()


def test_its_heart_is_found_without_doubt_and_the_envelope_holds_all_calcium(made):
    found = finder.locate(made.volume)
    assert found is not None
    assert not found.doubts
    assert found.envelope[made.truth].all()


@pytest.mark.parametrize("people", [population.STANDARD, population.BROAD, population.EXTERNAL])
@pytest.mark.parametrize("standard", [True, False])
def test_no_artery_runs_through_a_cavity(atlas, people, standard):
    random = np.random.default_rng(4)
    for _ in range(3):
        owner = heart.build(random, people, anatomy.STANDARD if standard else atlas)
        blood = shapes.union(owner.cavities)
        for artery in arteries.build(owner, random):
            x, y, z = artery.points.astype(np.float32).T
            assert blood(x, y, z).min() > 0, artery.name
            assert owner.sac(x, y, z).max() < 2, artery.name


def test_an_anatomy_that_lacks_an_artery_is_refused_by_its_name():
    broken = json.loads(FILE.read_text())
    del broken["courses"]["rca"]
    with pytest.raises(ValueError, match="courses rca"):
        anatomy.read(json.dumps(broken))


def test_an_anatomy_of_words_is_refused():
    broken = json.loads(FILE.read_text())
    broken["aortic_valve"] = None
    with pytest.raises(ValueError, match="not an anatomy"):
        anatomy.read(json.dumps(broken))
