"""Series made awkward, for the tests behind docs/CASES.md."""

import dataclasses
import pathlib
from collections.abc import Callable

import pydicom

from cac.phantom import scan
from tests import little_node
from triage import domain
from triage.db import worklist

SMALL = scan.Style(matrix=256, pixel=1.0)
LOW = domain.Priority.LOW


def edit(paths: list[pathlib.Path], change: Callable[[pydicom.Dataset], None]) -> list[pathlib.Path]:
    for path in paths:
        image = pydicom.dcmread(path)
        change(image)
        image.save_as(path, enforce_file_format=True)
    return paths


def as_series(paths: list[pathlib.Path], number: str) -> list[pathlib.Path]:
    """Give the images the UIDs of another series of the same study."""

    def rename(image: pydicom.Dataset) -> None:
        image.SeriesInstanceUID += number
        image.SOPInstanceUID += number
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID

    return edit(paths, rename)


def cropped(made: scan.Phantom, slices: slice) -> scan.Phantom:
    image = made.volume
    x, y, z = image.origin
    start = slices.indices(len(image.hu))[0]
    cut = dataclasses.replace(image, hu=image.hu[slices], origin=(x, y, z - start * image.spacing[0]))
    return dataclasses.replace(made, volume=cut)


def codes(row: worklist.StudyRow) -> set[str]:
    return {reason.code.value for reason in row.flag.reasons}


def ends(node: little_node.LittleNode, outcome: str, *expected: str) -> None:
    """Let everything happen; then the only study must have this outcome, these reasons, and its place."""
    node.settle()
    node.give_up_waiting()
    row = node.only()
    assert row.flag.priority is not LOW
    assert row.flag.outcome.value == outcome
    assert set(expected) <= codes(row)
