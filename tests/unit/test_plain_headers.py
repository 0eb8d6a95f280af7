import pathlib

import pytest
import small_ct
from hypothesis import given, settings, strategies
from pydicom import dataset, sequence, uid

from triage import spool
from triage.dicom import file_meta, headers, plain

STORED = spool.Stored(path="1.2/1.2.3/1.2.3.4.dcm", size=10, sha256="ab")
NAMES = frozenset({"PatientName", "Modality"})


def _content(image: dataset.Dataset) -> spool.Content:
    return spool.Content.of_file(small_ct.to_bytes(image))


def _is_ordinary(content: spool.Content) -> bool:
    return plain.read(content.body, file_meta.transfer_syntax(content.head), headers._NAMES) is not None


def _both(content: spool.Content, monkeypatch: pytest.MonkeyPatch) -> tuple[object, object]:
    """Describe an object in the short way, where it is ordinary, and in pydicom's."""
    short = headers.Header(content).instance(STORED)
    with monkeypatch.context() as patched:
        patched.setattr(plain, "read", lambda *_: None)
        return short, headers.Header(content).instance(STORED)


def test_an_ordinary_slice_reads_the_same_both_ways(monkeypatch):
    content = _content(small_ct.slice_of_ct(2))
    assert _is_ordinary(content)
    short, long = _both(content, monkeypatch)
    assert short == long


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=150, deadline=None)
@given(
    values=strategies.fixed_dictionaries(
        {},
        optional={
            "KVP": strategies.sampled_from(["120", " 120.0", "1e2", "", ["120", "80"], "-5", "+.5"]),
            "SliceThickness": strategies.floats(0, 10).map(lambda value: f"{value:.6g}"),
            "InstanceNumber": strategies.sampled_from(["1", "007", "+3", " 4 ", ""]),
            "ImageType": strategies.lists(strategies.sampled_from(["ORIGINAL", "PRIMARY", "AXIAL", ""]), max_size=4),
            "PatientName": strategies.sampled_from(["Doe^Jane", "Doe^^", "A=B", "Änderung^Ö", "", "A\\B", " x "]),
            "PatientID": strategies.text(strategies.characters(min_codepoint=32, max_codepoint=126), max_size=12),
            "StudyDescription": strategies.text(strategies.characters(max_codepoint=255), max_size=12),
            "ConvolutionKernel": strategies.lists(strategies.sampled_from(["Qr36d", "3", "", "B35f "]), max_size=3),
            "AcquisitionNumber": strategies.sampled_from([None, "1", "02"]),
            "BodyPartExamined": strategies.sampled_from([None, "", "HEART"]),
            "ContrastBolusVolume": strategies.sampled_from([None, "0", "80"]),
            "AccessionNumber": strategies.sampled_from([None, "", "A 1", " A1"]),
        },
    )
)
def test_whatever_a_header_says_reads_the_same_both_ways(values):
    image = small_ct.slice_of_ct(2)
    image.SpecificCharacterSet = "ISO_IR 192"
    for name, value in values.items():
        setattr(image, name, value)
    with pytest.MonkeyPatch.context() as patch:
        short, long = _both(_content(image), patch)
    assert short == long


@pytest.mark.parametrize(
    "value",
    [b"abcdef", b"1.2.3 ", b"nan   ", b"1\\2\\3 ", b"      ", b"\xff\xfe\x00\x01\x02\x03", b"12\x00\x00\x00\x00"],
)
def test_a_value_that_breaks_its_vr_reads_the_same_both_ways(value, monkeypatch):
    data = small_ct.to_bytes(small_ct.slice_of_ct(KVP="120.0 "))
    place = data.index(b"\x18\x00\x60\x00DS") + 8
    short, long = _both(spool.Content.of_file(data[:place] + value + data[place + 6 :]), monkeypatch)
    assert short == long


@pytest.mark.parametrize("undefined", [True, False])
def test_a_sequence_is_passed_over_whatever_its_length_is_said_to_be(undefined, monkeypatch):
    inner = dataset.Dataset()
    inner.CodeValue = "113691"
    inner.ReferencedImageSequence = sequence.Sequence(
        [dataset.Dataset(), small_ct.slice_of_ct(0)[0x00080005:0x00080020]]
    )
    image = small_ct.slice_of_ct(2)
    image.SourceImageSequence = sequence.Sequence([inner, inner])
    for one in (image["SourceImageSequence"], inner["ReferencedImageSequence"]):
        one.is_undefined_length = undefined
        for item in one.value:
            item.is_undefined_length_sequence_item = undefined
    content = _content(image)
    assert _is_ordinary(content)
    short, long = _both(content, monkeypatch)
    assert short == long


def test_codes_of_the_procedure_are_read_in_pydicoms_way():
    image = small_ct.slice_of_ct(2)
    code = dataset.Dataset()
    code.CodeValue = "426005005"
    image.ProcedureCodeSequence = sequence.Sequence([code])
    content = _content(image)
    assert not _is_ordinary(content)
    assert headers.Header(content).instance(STORED).procedure_codes == ("426005005",)


@pytest.mark.parametrize("cut", range(0, 640, 7))
def test_a_data_set_cut_off_anywhere_in_its_header_is_no_ordinary_one(cut):
    body = _content(small_ct.slice_of_ct(2)).body[: cut + 1]
    read = plain.read(body, uid.ExplicitVRLittleEndian, NAMES)
    assert read is None or read[2] == len(body)


def test_the_head_of_a_kept_file_is_what_pydicom_reads(tmp_path: pathlib.Path):
    import pydicom

    image = small_ct.slice_of_ct(2)
    body = _content(image).body
    head = file_meta.encode(image.SOPClassUID, image.SOPInstanceUID, uid.ExplicitVRLittleEndian)
    (tmp_path / "a.dcm").write_bytes(head + body)
    read = pydicom.dcmread(tmp_path / "a.dcm")
    assert read.file_meta.MediaStorageSOPInstanceUID == image.SOPInstanceUID
    assert read.file_meta.TransferSyntaxUID == uid.ExplicitVRLittleEndian
    assert read.file_meta.FileMetaInformationGroupLength == len(head) - 144
    assert read.PixelData == image.PixelData
    assert spool.Content.of_file(head + body).body == body
    assert file_meta.transfer_syntax(head) == uid.ExplicitVRLittleEndian
