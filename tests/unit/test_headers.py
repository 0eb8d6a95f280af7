import math
import warnings

import pytest
import small_ct
from pydicom import dataset, uid

from triage import domain, errors, spool
from triage.dicom import headers

STORED = spool.Stored(path="1.2/1.2.3/1.2.3.4.dcm", size=10, sha256="ab")


def _instance(**changes) -> domain.Instance:
    return headers.read_instance(small_ct.to_bytes(small_ct.slice_of_ct(2, **changes)), STORED)


def test_a_ct_slice_is_described_in_plain_values():
    seen = _instance()
    assert seen.kind is domain.InstanceKind.IMAGE
    assert (seen.path, seen.size, seen.sha256) == ("1.2/1.2.3/1.2.3.4.dcm", 10, "ab")
    assert (seen.sop_instance_uid, seen.series_instance_uid) == (f"{small_ct.STUDY}.1.3", f"{small_ct.STUDY}.1")
    assert (seen.patient_id, seen.patient_name, seen.accession_number) == ("P1", "Doe^Jane", "A1")
    assert (seen.position, seen.pixel_spacing, seen.rows) == ((-100.0, -100.0, 6.0), (0.5, 0.5), 64)
    assert seen.orientation == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    assert (seen.thickness, seen.kvp, seen.kernel, seen.contrast_agent) == (3.0, 120.0, "B35f", None)
    assert (seen.lossy, seen.rescale_present, seen.rescale_type) == (False, True, "HU")
    assert seen.image_type == ("ORIGINAL", "PRIMARY", "AXIAL")
    assert (seen.transfer_syntax_uid, seen.acquisition) == (uid.ExplicitVRLittleEndian, "1|20260102101112.5")


def test_missing_values_are_none_not_guesses():
    names = (
        "ImagePositionPatient ImageOrientationPatient PixelSpacing KVP SliceThickness ConvolutionKernel RescaleSlope"
    )
    seen = _instance(**dict.fromkeys([*names.split(), "PatientID", "PatientName", "AcquisitionTime"]))
    assert (seen.position, seen.orientation, seen.pixel_spacing, seen.kvp) == (None, None, None, None)
    assert (seen.thickness, seen.kernel, seen.rescale_present, seen.patient_id) == (None, None, False, "")
    assert seen.acquisition == ""


def test_a_date_alone_does_not_name_an_acquisition():
    assert _instance(AcquisitionDateTime="20000101", AcquisitionDate=None).acquisition == ""
    assert _instance(AcquisitionDateTime="20000101").acquisition == "1|20260102101112.5"


def _broken(value: bytes, tag: bytes, vr: bytes = b"DS") -> bytes:
    """Exchange one explicit element's value for another of the same length."""
    data = small_ct.to_bytes(small_ct.slice_of_ct(KVP="120.0 ", PatientName="Doe^Jane"))
    start = data.index(tag + vr) + len(tag) + 4
    return data[:start] + value + data[start + len(value) :]


@pytest.mark.parametrize(
    "value", [b"abcdef", b"nan   ", b"inf   ", b"1\\2\\3 ", b"      ", b"\xff\xfe\x00\x01\x02\x03"]
)
def test_a_number_that_is_none_reads_as_missing(value):
    assert headers.read_instance(_broken(value, b"\x18\x00\x60\x00"), STORED).kvp is None


def test_an_odd_character_set_endangers_neither_reading_nor_the_uids():
    for charset in ("ISO_IR 100", "ISO 2022 IR 87", "GB18030", "NO SUCH SET", ""):
        image = small_ct.slice_of_ct(PatientName="Doe^Jane")
        image.SpecificCharacterSet = "ISO_IR 100"
        data = small_ct.to_bytes(image).replace(b"Doe^Jane", b"D\xf6\x81\x1b$B^J")
        data = data.replace(b"ISO_IR 100", charset.ljust(10).encode()[:10])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            seen = headers.read_instance(data, STORED)
        assert seen.kind is domain.InstanceKind.IMAGE
        assert seen.patient_id == "P1"


def test_garbage_is_kept_as_unreadable_under_the_uids_of_its_path():
    for data in (b"", b"garbage", b"\0" * 200, b"\0" * 128 + b"DICM" + b"\xff" * 300):
        seen = headers.read_instance(data, STORED)
        assert seen.kind is domain.InstanceKind.UNREADABLE
        assert (seen.study_instance_uid, seen.sop_instance_uid) == ("1.2", "1.2.3.4")


def test_a_file_cut_anywhere_never_counts_as_an_image_and_never_raises():
    data = small_ct.to_bytes(small_ct.slice_of_ct())
    for length in [*range(0, 1600, 37), len(data) - 5000, len(data) - 20]:
        seen = headers.read_instance(data[:length], STORED)
        assert seen.kind is not domain.InstanceKind.IMAGE


def test_objects_other_than_ct_have_the_kind_that_does_not_vote():
    assert _instance(SOPClassUID=uid.BasicTextSRStorage, Modality="SR").kind is domain.InstanceKind.OTHER
    assert _instance(SOPClassUID=uid.SecondaryCaptureImageStorage).kind is domain.InstanceKind.OTHER
    assert _instance(SOPClassUID=uid.EnhancedCTImageStorage).kind is domain.InstanceKind.IMAGE


def test_the_name_of_an_aside_file_decides_its_kind():
    stored = spool.Stored(path="1.2/1.2.3/1.2.3.4.0011223344556677.aside.dcm", size=1, sha256="00")
    data = small_ct.to_bytes(small_ct.slice_of_ct())
    assert headers.read_instance(data, stored).kind is domain.InstanceKind.ASIDE
    assert headers.read_instance(b"garbage", stored).kind is domain.InstanceKind.ASIDE


@pytest.mark.parametrize(
    ("syntax", "lossy"),
    [
        (uid.JPEGLSLossless, False),
        (uid.JPEG2000Lossless, False),
        (uid.JPEGLosslessSV1, False),
        (uid.JPEGBaseline8Bit, True),
        (uid.JPEGLSNearLossless, True),
        (uid.JPEG2000, True),
    ],
)
def test_a_syntax_that_may_lose_counts_as_lossy(syntax, lossy):
    data = small_ct.to_bytes(small_ct.slice_of_ct())
    old = uid.ExplicitVRLittleEndian.encode() + b"\0"
    new = syntax.encode() + b"\0" * (len(syntax) % 2)
    length_of = lambda text: b"UI" + len(text).to_bytes(2, "little") + text  # noqa: E731
    data = data.replace(length_of(old), length_of(new), 1)
    group = int.from_bytes(data[140:144], "little") + len(new) - len(old)
    data = data[:140] + group.to_bytes(4, "little") + data[144:]
    assert headers.read_instance(data, STORED).lossy is lossy


def test_a_contrast_agent_is_seen_by_name_or_in_a_sequence():
    agent = dataset.Dataset()
    agent.CodeValue = "C-B0322"
    assert _instance(ContrastBolusAgent="IV").contrast_agent == "IV"
    assert _instance(ContrastBolusAgentSequence=[agent]).contrast_agent is not None


def test_procedure_codes_and_the_declared_count_are_read():
    code = dataset.Dataset()
    code.CodeValue = "426005005"
    seen = _instance(ProcedureCodeSequence=[code], NumberOfSeriesRelatedInstances=40, ImagesInAcquisition=80)
    assert seen.procedure_codes == ("426005005",)
    assert seen.declared_images == 40
    assert _instance(ImagesInAcquisition=80).declared_images == 80


def test_an_unreadable_data_set_raises_for_the_receiver():
    with pytest.raises(errors.UnreadableImage):
        headers.Header(b"garbage")


def test_positions_are_finite_numbers():
    seen = _instance()
    assert seen.position
    assert all(math.isfinite(value) for value in seen.position)


@pytest.mark.parametrize(
    "stated", [{"ContrastBolusRoute": "IV"}, {"ContrastBolusVolume": 80.0}, {"ContrastBolusAgent": "IOMERON"}]
)
def test_any_word_of_contrast_counts(stated):
    assert _instance(**stated).contrast_agent


def test_every_value_of_the_kernel_is_kept():
    assert _instance(ConvolutionKernel=["B35f", "SHARP"]).kernel == "B35f\\SHARP"
