"""Real, public CT series through the whole node, sent by DCMTK over four associations; docs/DATA.md shows them.

The nets answer 0 everywhere, so nothing but the node's own care keeps these studies where they are.
"""

import pathlib
import random
import shutil
import subprocess

import pydicom
import pytest
from pydicom import uid

from tests import little_node, real_series
from tests.awkward import LOW, codes

EXPECTED = {
    "acrin_nsclc_042_marked_calcium": ("unsuitable", {"kvp_not_120", "thick_slices"}),
    "nlst_101287_calcium_sharp_kernel": ("unsuitable", {"kernel_not_listed"}),
    "lung_pet_ct_dx_A0001_5mm": ("unsuitable", {"thick_slices"}),
    "lung_pet_ct_dx_A0002_8mm": ("unsuitable", {"thick_slices"}),
    "lidc_idri_0001_contrast": ("unsuitable", {"contrast_tag"}),
    "totalsegmentator_abdomen_contrast": ("unsuitable", {"contrast_tag"}),
}


def deliver(node: little_node.LittleNode, files: list[pathlib.Path]) -> None:
    """Send files in a shuffled order over four associations at once, as they are."""
    dcmsend = shutil.which("dcmsend", path="/usr/bin:/usr/local/bin")
    if dcmsend is None:
        pytest.skip("DCMTK's dcmsend is not here (make peers)")
    shuffled = random.Random(7).sample(files, len(files))
    command = [dcmsend, "-dn", "127.0.0.1", str(node.receiver.port), "-aec", "CACTRIAGE"]
    senders = [subprocess.Popen([*command, *map(str, shuffled[part::4])]) for part in range(4)]
    assert [sender.wait(timeout=120) for sender in senders] == [0] * 4


def with_uids(files: list[pathlib.Path], folder: pathlib.Path) -> list[pathlib.Path]:
    """Give objects that were published without UIDs some: no sender could send them else."""
    study, series = uid.generate_uid(), uid.generate_uid()
    folder.mkdir()
    for number, file in enumerate(files):
        image = pydicom.dcmread(file)
        image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = uid.CTImageStorage
        image.StudyInstanceUID, image.SeriesInstanceUID = study, series
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"{series[:50]}.{number + 1}"
        image.save_as(folder / file.name, enforce_file_format=True)
    return sorted(folder.iterdir())


@pytest.mark.parametrize("name", EXPECTED)
def test_a_real_series_that_cannot_be_scored_is_refused_with_its_reason(tmp_path, name):
    files = sorted(real_series.path("series", name).glob("*.dcm"))
    if not pydicom.dcmread(files[0], stop_before_pixels=True).get("StudyInstanceUID"):
        files = with_uids(files, tmp_path / "named")
    with little_node.running(tmp_path / "home", little_node.ConstantEngine(0.0)) as node:
        deliver(node, files)
        node.settle()
        node.give_up_waiting()
        row = node.only()
        assert row.images_received == len(files)
        assert row.flag.priority is not LOW
        outcome, expected = EXPECTED[name]
        assert row.flag.outcome.value == outcome
        assert expected <= codes(row)


def test_the_real_calcium_free_chest_is_suitable_and_keeps_its_place(tmp_path):
    files = sorted(real_series.path("series", "lidc_idri_0002_zero").glob("*.dcm"))
    with little_node.running(tmp_path / "home", little_node.ConstantEngine(0.0)) as node:
        deliver(node, files)
        node.settle()
        node.give_up_waiting()
        row = node.only()
        assert row.flag.outcome.value in ("absent", "indeterminate")
        assert row.flag.priority is not LOW
