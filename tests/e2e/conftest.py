"""A small calcium-free scan, a node whose nets miss everything, and a writer of series."""

import pathlib

import pytest

from cac.phantom import scan
from tests import awkward, little_node, peers
from triage.dicom import phantom_series


@pytest.fixture(scope="session")
def zero() -> scan.Phantom:
    return scan.make(agatston=0, seed=11, increment=3.0, style=awkward.SMALL)


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


@pytest.fixture(scope="session")
def orthanc(tmp_path_factory):
    """Run one Orthanc for the session."""
    with peers.orthanc(tmp_path_factory.mktemp("peer")) as running:
        yield running
