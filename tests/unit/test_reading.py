"""Files become one volume in HU, head to feet, anterior to posterior, right to left; what cannot, says why."""

import pathlib

import numpy as np
import pydicom
import pytest
import small_ct
from pydicom import uid

from cac import errors as cac_errors
from cac import reasons
from triage import errors
from triage.dicom import reading


def _load(paths: list[pathlib.Path]) -> reading.LoadedSeries:
    return reading.load_series(reading.read_headers(paths))


def _expected(count: int = 8) -> np.ndarray:
    """small_ct's slices lie from feet to head."""
    return np.stack([small_ct.pixels(number) for number in reversed(range(count))]).astype(np.float32) - 1024


def _reason(paths: list[pathlib.Path]) -> reasons.ReasonCode:
    with pytest.raises(cac_errors.GeometryError) as caught:
        _load(paths)
    return caught.value.reason.code


def test_slices_run_from_head_to_feet_whatever_the_order_of_the_files(tmp_path: pathlib.Path) -> None:
    paths = small_ct.write(small_ct.series(), tmp_path)
    loaded = _load([paths[i] for i in (3, 0, 7, 5, 1, 2, 6, 4)])
    assert loaded.volume.hu.dtype == np.float32
    assert np.array_equal(loaded.volume.hu, _expected())
    assert loaded.volume.spacing == (3.0, 0.5, 0.5)
    assert loaded.volume.origin == (-100.0, -100.0, 21.0)
    assert [float(source.ImagePositionPatient[2]) for source in loaded.sources] == [21, 18, 15, 12, 9, 6, 3, 0]


def test_a_prone_or_mirrored_image_is_turned_and_its_mask_turned_back(tmp_path: pathlib.Path) -> None:
    # Rows run to anterior, columns to the right: a half turn about z.
    images = small_ct.series(ImageOrientationPatient=[-1.0, 0.0, 0.0, 0.0, -1.0, 0.0])
    loaded = _load(small_ct.write(images, tmp_path))
    assert np.array_equal(loaded.volume.hu, _expected()[:, ::-1, ::-1])
    mask = np.zeros(loaded.volume.hu.shape, bool)
    mask[1, 2, 3] = True
    assert np.argwhere(reading.to_source(loaded, mask)).tolist() == [[1, 61, 60]]


@pytest.mark.parametrize(
    ("syntax", "plugin"),
    [
        (uid.JPEGLSLossless, "pyjpegls"),
        (uid.JPEG2000Lossless, "pylibjpeg"),
        (uid.RLELossless, "pydicom"),
        (uid.DeflatedExplicitVRLittleEndian, None),
        (uid.ImplicitVRLittleEndian, None),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_every_lossless_syntax_gives_the_same_volume(tmp_path: pathlib.Path, syntax: uid.UID, plugin: str) -> None:
    images = small_ct.series(3)
    for image in images:
        if plugin:
            image.compress(syntax, encoding_plugin=plugin, generate_instance_uid=False)
        else:
            image.file_meta.TransferSyntaxUID = syntax
    assert np.array_equal(_load(small_ct.write(images, tmp_path)).volume.hu, _expected(3))


@pytest.mark.parametrize(("signed", "stored"), [(0, 12), (0, 16), (1, 12), (1, 16)])
def test_jpeg_ls_keeps_the_sign_at_any_depth(tmp_path: pathlib.Path, signed: int, stored: int) -> None:
    depth = {"PixelRepresentation": signed, "BitsStored": stored, "HighBit": stored - 1, "RescaleIntercept": -24}
    images = small_ct.series(3, **depth)
    lowest = -(1 << stored - 1) if signed else 0
    values = (
        np.random.default_rng(3).integers(lowest, lowest + (1 << stored), (64, 64)).astype("<i2" if signed else "<u2")
    )
    for image in images:
        image.PixelData = values.tobytes()
    plain = _load(small_ct.write(images, tmp_path)).volume.hu
    for image in images:
        image.compress(uid.JPEGLSLossless, encoding_plugin="pyjpegls", generate_instance_uid=False)
    assert np.array_equal(_load(small_ct.write(images, tmp_path)).volume.hu, plain)


def test_a_jpeg_ls_stream_of_another_shape_is_an_unreadable_image(tmp_path: pathlib.Path) -> None:
    images = small_ct.series(3)
    for image in images:
        image.PixelData = image.pixel_array[:, :32].tobytes()
        image.Columns = 32
        image.compress(uid.JPEGLSLossless, encoding_plugin="pyjpegls", generate_instance_uid=False)
        image.Rows, image.Columns = 32, 64  # as many pixels
    with pytest.raises(errors.UnreadableImage):
        _load(small_ct.write(images, tmp_path))


def test_signed_pixels_and_padding_become_air(tmp_path: pathlib.Path) -> None:
    images = small_ct.series(3, PixelRepresentation=1, RescaleIntercept=0)
    for image in images:
        image.add_new("PixelPaddingValue", "SS", -2000)
        stored = np.full((64, 64), 40, "<i2")
        stored[0, 0], stored[0, 1], stored[0, 2] = -2000, -1500, 300
        image.PixelData = stored.tobytes()
    hu = _load(small_ct.write(images, tmp_path)).volume.hu
    assert hu[0, 0, :4].tolist() == [-1024, -1024, 300, 40]


def test_a_padding_value_among_tissue_is_not_believed(tmp_path: pathlib.Path) -> None:
    images = small_ct.series(3)
    for image in images:
        image.add_new("PixelPaddingValue", "US", int(small_ct.pixels(0)[10, 10]))
    assert np.array_equal(_load(small_ct.write(images, tmp_path)).volume.hu, _expected(3))


@pytest.mark.parametrize(
    ("keyword", "value", "code"),
    [
        ("RescaleIntercept", 0, reasons.ReasonCode.MIXED_GEOMETRY),
        ("PatientID", "P2", reasons.ReasonCode.MIXED_GEOMETRY),
        ("ConvolutionKernel", "B60f", reasons.ReasonCode.MIXED_GEOMETRY),
        ("KVP", 100.0, reasons.ReasonCode.MIXED_GEOMETRY),
        ("RescaleSlope", None, reasons.ReasonCode.RESCALE_ABSENT),
    ],
)
def test_one_deviating_image_makes_the_series_unsuitable(
    tmp_path: pathlib.Path, keyword: str, value: object, code: reasons.ReasonCode
) -> None:
    images = small_ct.series()
    images[3] = small_ct.slice_of_ct(3, **{keyword: value})
    assert _reason(small_ct.write(images, tmp_path)) == code


def test_a_missing_middle_slice_is_told(tmp_path: pathlib.Path) -> None:
    paths = small_ct.write(small_ct.series(), tmp_path)
    assert _reason(paths[:3] + paths[4:]) == reasons.ReasonCode.MISSING_SLICES


def test_a_single_slice_is_told(tmp_path: pathlib.Path) -> None:
    assert _reason(small_ct.write(small_ct.series(1), tmp_path)) == reasons.ReasonCode.SINGLE_SLICE


@pytest.mark.parametrize("content", [b"", b"garbage" * 999, b"\0" * 128 + b"DICM" + b"\xff" * 64], ids=len)
def test_garbage_is_an_unreadable_image(tmp_path: pathlib.Path, content: bytes) -> None:
    (tmp_path / "a.dcm").write_bytes(content)
    with pytest.raises(errors.UnreadableImage):
        reading.read_headers([tmp_path / "a.dcm"])


@pytest.mark.parametrize("plugin", [None, "pyjpegls"])
def test_cut_off_pixels_are_an_unreadable_image(tmp_path: pathlib.Path, plugin: str | None) -> None:
    images = small_ct.series(3)
    if plugin:
        images[1].compress(uid.JPEGLSLossless, encoding_plugin=plugin, generate_instance_uid=False)
    paths = small_ct.write(images, tmp_path)
    paths[1].write_bytes(paths[1].read_bytes()[:-1500])
    with pytest.raises(errors.UnreadableImage):
        _load(paths)


def test_a_file_out_of_reach_is_a_storage_error(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.StorageError):
        reading.read_headers([tmp_path / "gone.dcm"])


def test_another_syntax_or_a_corrected_name_is_the_same_image(tmp_path: pathlib.Path) -> None:
    other = small_ct.slice_of_ct(2, PatientName="Roe^Jane")
    other.compress(uid.JPEGLSLossless, encoding_plugin="pyjpegls", generate_instance_uid=False)
    one, two = small_ct.write([small_ct.slice_of_ct(2), other], tmp_path)
    assert reading.same_image(one, two)


@pytest.mark.parametrize(
    "changes", [{"KVP": 100.0}, {"ImagePositionPatient": [0.0, 0.0, 0.0]}, {"RescaleIntercept": -1000}], ids=str
)
def test_another_attribute_that_is_read_makes_another_image(tmp_path: pathlib.Path, changes: dict[str, object]) -> None:
    one, two = small_ct.write([small_ct.slice_of_ct(2), small_ct.slice_of_ct(2, **changes)], tmp_path)
    assert not reading.same_image(one, two)


def test_one_other_pixel_makes_another_image(tmp_path: pathlib.Path) -> None:
    other = small_ct.slice_of_ct(2)
    stored = small_ct.pixels(2).copy()
    stored[5, 5] += 1
    other.PixelData = stored.tobytes()
    one, two = small_ct.write([small_ct.slice_of_ct(2), other], tmp_path)
    assert not reading.same_image(one, two)


def test_headers_keep_no_pixels(tmp_path: pathlib.Path) -> None:
    (source, *_) = _load(small_ct.write(small_ct.series(), tmp_path)).sources
    assert isinstance(source, pydicom.Dataset)
    assert "PixelData" not in source
