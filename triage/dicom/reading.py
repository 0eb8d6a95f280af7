"""A series' files as one volume in HU, in the orientation and geometry that the science expects."""

import contextlib
import dataclasses
import io
import math
import os
import pathlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from typing import TypeVar

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom import uid
from pydicom.pixels import utils as pixels

from cac import errors as cac_errors
from cac import reasons, volume
from triage import domain, errors, spool
from triage.dicom import headers, jpegls

AIR_HU = -1024.0
_THREADS = min(4, os.cpu_count() or 1)
_PLAUSIBLE_HU = (-500.0, 3071.0)
"""A padding value inside this range would erase tissue or calcium: it is not believed."""

# One acquisition, reconstructed once: what must not differ within a series, and what it is called.
_SAME = {
    "sop_class_uid": "SOP classes",
    "patient_id": "patients",
    "study_instance_uid": "studies",
    "series_instance_uid": "series",
    "frame_of_reference_uid": "frames of reference",
    "kvp": "tube voltages",
    "kernel": "kernels",
    "thickness": "slice thicknesses",
}
# What the pipeline reads beside pixels, rescale and padding being part of these: names and acquisition are not.
_READ = (
    *(name for name in _SAME if name != "patient_id"),
    *("modality", "image_type", "rows", "columns", "pixel_spacing", "position", "orientation"),
    *("contrast_agent", "lossy", "rescale_present", "rescale_type"),
)

_Answer = TypeVar("_Answer")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class SeriesHeaders:
    """Hold a series before its pixels are decoded: data sets and what they say, in the paths' order."""

    paths: tuple[pathlib.Path, ...]
    datasets: tuple[pydicom.Dataset, ...]
    instances: tuple[domain.Instance, ...]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class LoadedSeries:
    """Hold a series as a volume. `sources` are its headers in the volume's slice order.

    `flip_rows` and `flip_columns` say that the volume runs against the images' own rows and columns.
    """

    volume: volume.Volume
    sources: tuple[pydicom.Dataset, ...]
    flip_rows: bool
    flip_columns: bool


def read_headers(paths: Sequence[pathlib.Path]) -> SeriesHeaders:
    """Read a series, each file once, and say what its headers say; UnreadableImage, StorageError."""
    if not paths:
        raise errors.UnreadableImage("The series has no image.")
    with _quiet():
        read = [_border(path, _read) for path in paths]
    datasets, instances = tuple(dataset for dataset, _ in read), tuple(instance for _, instance in read)
    if not all(instance.rows and instance.columns for instance in instances):
        raise errors.UnreadableImage("An object of the series holds no image.")
    return SeriesHeaders(paths=tuple(paths), datasets=datasets, instances=instances)


def load_series(series: SeriesHeaders) -> LoadedSeries:
    """Decode a series into a volume, and drop its data sets' pixels; GeometryError, UnreadableImage."""
    _refuse_mixed(series)
    stacking = volume.stack([_pose(instance) for instance in series.instances])
    first = series.instances[stacking.order[0]]
    shape = (len(series.paths), first.rows or 0, first.columns or 0)
    hu = np.empty(shape, np.float32)
    rows, columns = (-1 if flip else 1 for flip in (stacking.flip_rows, stacking.flip_columns))

    def fill(slot: int) -> None:
        dataset = series.datasets[stacking.order[slot]]
        image = _border(series.paths[stacking.order[slot]], lambda _: _hu(dataset))
        del dataset.PixelData
        if image.shape != shape[1:]:
            raise errors.UnreadableImage("An image has pixels of another shape than its header says.")
        hu[slot] = image[::rows, ::columns]

    with _quiet(), futures.ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(fill, range(len(series.paths))))  # the first error surfaces here
    spacing = first.pixel_spacing or (math.nan, math.nan)
    return LoadedSeries(
        volume=volume.Volume(
            hu=hu,
            spacing=(stacking.increment, *spacing),
            thickness=first.thickness if first.thickness is not None else math.nan,
            origin=stacking.origin,
        ),
        sources=tuple(series.datasets[index] for index in stacking.order),
        flip_rows=stacking.flip_rows,
        flip_columns=stacking.flip_columns,
    )


def to_source(series: LoadedSeries, mask: volume.BoolArray) -> volume.BoolArray:
    """Turn a mask of the volume, bool (slice, row, column), into the orientation of the images as they were sent."""
    return mask[:, :: -1 if series.flip_rows else 1, :: -1 if series.flip_columns else 1]


def same_image(one: pathlib.Path, other: pathlib.Path) -> bool:
    """Tell whether two files hold the same image: equal pixels in HU, and equal attributes that the pipeline reads.

    Another transfer syntax or a corrected name is no difference; UnreadableImage, StorageError.
    """
    with _quiet():
        (left, first), (right, second) = (_border(path, _read) for path in (one, other))
        if any(getattr(first, name) != getattr(second, name) for name in _READ):
            return False
        shown, other_shown = (
            _border(path, lambda _, dataset=each: _hu(dataset))  # type: ignore[misc]
            for path, each in ((one, left), (other, right))
        )
    return bool(np.array_equal(shown, other_shown))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Drop warnings: pydicom's quote values of the header, and so the patient."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _border(path: pathlib.Path, read: Callable[[pathlib.Path], _Answer]) -> _Answer:
    """Translate what pydicom and its decoders raise, which is nearly everything; no patient data in the message."""
    try:
        return read(path)
    except (errors.TriageError, MemoryError):
        raise
    except OSError as exc:
        raise errors.StorageError(f"{path.name} cannot be read: {exc.strerror}.") from exc
    except Exception as exc:  # pydicom and the decoders raise whatever they stumble over
        raise errors.UnreadableImage(f"{path.name} is no readable image ({type(exc).__name__}).") from exc


def _read(path: pathlib.Path) -> tuple[pydicom.Dataset, domain.Instance]:
    """Read a file once: its data set with pixels, and its header in plain values."""
    data = path.read_bytes()
    # Where the file lies and what it weighs is not asked here: only the header's own words are.
    nowhere = spool.Stored(path="", size=0, sha256="")
    dataset = pydicom.dcmread(io.BytesIO(data))
    if "PixelData" not in dataset:
        raise errors.UnreadableImage(f"{path.name} holds no pixels, or is cut off.")
    return dataset, headers.Header(data).instance(nowhere, domain.InstanceKind.IMAGE)


def _pose(instance: domain.Instance) -> volume.Pose:
    return volume.Pose(
        position=instance.position,
        orientation=instance.orientation,
        spacing=instance.pixel_spacing,
        rows=instance.rows,
        columns=instance.columns,
        thickness=instance.thickness,
    )


def _refuse_mixed(series: SeriesHeaders) -> None:
    """Raise GeometryError where the images contradict each other or their values are no HU."""
    for name, what in _SAME.items():
        if len({getattr(instance, name) for instance in series.instances}) > 1:
            raise cac_errors.GeometryError(reasons.reason(reasons.ReasonCode.MIXED_GEOMETRY, what=what))
    if not all(instance.rescale_present for instance in series.instances):
        raise cac_errors.GeometryError(reasons.reason(reasons.ReasonCode.RESCALE_ABSENT))
    if len({(float(each.RescaleSlope), float(each.RescaleIntercept)) for each in series.datasets}) > 1:
        raise cac_errors.GeometryError(reasons.reason(reasons.ReasonCode.MIXED_GEOMETRY, what="rescale"))


def _hu(dataset: pydicom.Dataset) -> NDArray[np.float32]:
    """Return an image in HU, padding as air; the rescale is linear (PS3.3 C.11.1)."""
    fast = jpegls.NAME if dataset.file_meta.TransferSyntaxUID == uid.JPEGLSLossless else ""
    stored = pixels.pixel_array(dataset, decoding_plugin=fast)
    slope, intercept = float(dataset.RescaleSlope), float(dataset.RescaleIntercept)
    hu = stored.astype(np.float32)
    hu *= np.float32(slope)
    hu += np.float32(intercept)
    padding = _padding(dataset)
    if padding is not None and not _PLAUSIBLE_HU[0] < padding * slope + intercept <= _PLAUSIBLE_HU[1]:
        hu[stored == padding] = AIR_HU
    return np.maximum(hu, np.float32(AIR_HU), out=hu)


def _padding(dataset: pydicom.Dataset) -> int | None:
    """Return the stored value outside the scanned circle; some write a signed one as unsigned."""
    value = dataset.get("PixelPaddingValue")
    if not isinstance(value, int):
        return None
    signed = dataset.get("PixelRepresentation") == 1
    return value - 65536 if signed and value > 32767 else value
