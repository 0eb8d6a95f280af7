"""Real, public CT series through the whole node, by each peer and in each manner; docs/DATA.md shows them.

The nets answer 0 everywhere, so nothing but the node's own care keeps these studies where they are.
"""

import pathlib
from collections.abc import Callable

import pydicom
import pytest
from pydicom import uid

from tests import little_node, peers, real_series
from tests.awkward import LOW, codes

EXPECTED = {
    "acrin_nsclc_042_marked_calcium": ("unsuitable", {"kvp_not_120", "thick_slices", "no_eligible_series"}),
    "nlst_101287_calcium_sharp_kernel": ("unsuitable", {"kernel_not_listed", "no_eligible_series"}),
    "lung_pet_ct_dx_A0001_5mm": ("unsuitable", {"thick_slices", "no_eligible_series"}),
    "lung_pet_ct_dx_A0002_8mm": ("unsuitable", {"kernel_not_listed", "thick_slices", "no_eligible_series"}),
    "lidc_idri_0001_contrast": ("unsuitable", {"contrast_tag", "no_eligible_series"}),
    "totalsegmentator_abdomen_contrast": ("unsuitable", {"contrast_tag", "no_eligible_series"}),
    "lidc_idri_0002_zero": ("absent", {"no_calcium", "not_admitted"}),
}
Deliver = Callable[[int, list[pathlib.Path]], None]


def by_dcmsend(port: int, files: list[pathlib.Path]) -> None:
    peers.dcmsend(port, files)


def by_dcmsend_shuffled(port: int, files: list[pathlib.Path]) -> None:
    peers.dcmsend(port, *peers.shuffled(files))


def by_orthanc(port: int, files: list[pathlib.Path], orthanc: peers.Orthanc) -> None:
    orthanc.send(port, files)


def by_orthanc_shuffled(port: int, files: list[pathlib.Path], orthanc: peers.Orthanc) -> None:
    orthanc.send_shuffled(port, files)


@pytest.fixture(scope="module", params=[by_dcmsend, by_dcmsend_shuffled, by_orthanc, by_orthanc_shuffled])
def delivery(request) -> Deliver:
    """Deliver files to a port in one of the four manners."""
    if "orthanc" not in request.param.__name__:
        return request.param
    orthanc = request.getfixturevalue("orthanc")
    return lambda port, files: request.param(port, files, orthanc)


@pytest.fixture(scope="module")
def node(delivery, tmp_path_factory):
    """Run one node for all series of one manner."""
    with little_node.running(tmp_path_factory.mktemp("node"), little_node.ConstantEngine(0.0)) as running:
        yield running


@pytest.fixture(scope="module")
def named(tmp_path_factory) -> Callable[[str], list[pathlib.Path]]:
    """Give a series' files; those published without UIDs get some, for no sender could send them else."""
    made: dict[str, list[pathlib.Path]] = {}

    def files(name: str) -> list[pathlib.Path]:
        found = sorted(real_series.path("series", name).glob("*.dcm"))
        if name not in made and not pydicom.dcmread(found[0], stop_before_pixels=True).get("StudyInstanceUID"):
            made[name] = changed(found, tmp_path_factory.mktemp(name))
        return made.get(name, found)

    return files


def changed(files: list[pathlib.Path], folder: pathlib.Path, *without: str) -> list[pathlib.Path]:
    """Write the images under new UIDs, without some of their attributes."""
    study, series = uid.generate_uid(), uid.generate_uid()
    for number, file in enumerate(files):
        image = pydicom.dcmread(file)
        for keyword in [keyword for keyword in image.dir() if keyword.startswith(without or " ")]:
            delattr(image, keyword)
        image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = uid.CTImageStorage
        image.StudyInstanceUID, image.SeriesInstanceUID = study, series
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"{series[:50]}.{number + 1}"
        image.save_as(folder / file.name, enforce_file_format=True)
    return sorted(folder.iterdir())


def result(node: little_node.LittleNode, files: list[pathlib.Path]):
    """Let everything happen; return what became of the study of these files."""
    node.settle()
    node.give_up_waiting()
    return node.studies()[pydicom.dcmread(files[0], stop_before_pixels=True).StudyInstanceUID]


@pytest.mark.parametrize("name", EXPECTED)
def test_a_real_series_ends_as_it_should_by_either_peer_in_order_or_shuffled(node, delivery, named, name):
    files = named(name)
    delivery(node.receiver.port, files)
    row = result(node, files)
    assert row.images_received == len(files)
    assert row.flag.priority is not LOW
    assert (row.flag.outcome.value, codes(row)) == EXPECTED[name]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("lidc_idri_0001_contrast", "contrast_image"), ("totalsegmentator_abdomen_contrast", "heart_not_found")],
)
def test_a_contrast_scan_whose_header_is_silent_is_refused_by_its_image(tmp_path, name, reason):
    files = changed(sorted(real_series.path("series", name).glob("*.dcm")), tmp_path, "Contrast")
    home = tmp_path.with_name(f"{tmp_path.name}-home")
    with little_node.running(home, little_node.ConstantEngine(0.0)) as node:
        peers.dcmsend(node.receiver.port, files)
        row = result(node, files)
    assert (row.flag.outcome.value, codes(row)) == ("unsuitable", {reason})
    (picture,) = home.rglob("preview.png")
    assert picture.read_bytes()
