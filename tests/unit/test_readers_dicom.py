"""DICOM CT with SEG or RTSTRUCT: every frame and contour at its voxels by its position, or a refusal with the name."""

import highdicom
import numpy as np
import pydicom
import pytest
from labelled_pairs import ORIGIN, SPACING, SPOTS, Turn, hu, truth, write_ct
from pydicom import dataset, uid
from pydicom.sr import codedict

from training import errors, labelled
from training.readers import dicom, site

SITE = site.Site()
NAMES = {labelled.Label.LM: "Left main", labelled.Label.LAD: "LAD", labelled.Label.LCX: "LCX calcium"}
NAMES[labelled.Label.RCA] = "Right_Coronary-Artery"


def read(folder, said=SITE):
    (entry,) = dicom.find(folder, said)
    return entry.read()


def described(number, name, kind="MANUAL"):
    code = codedict.codes.SCT.Tissue
    how = None
    if kind != "MANUAL":
        family = codedict.codes.DCM.ArtificialIntelligence
        how = highdicom.AlgorithmIdentificationSequence(name="net", family=family, version="1")
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=name,
        segmented_property_category=code,
        segmented_property_type=code,
        algorithm_type=kind,
        algorithm_identification=how,
    )


def segmentation(images, codes, names=NAMES, kind="MANUAL"):
    masks = np.stack([codes == label for label in names], axis=-1).astype(np.uint8)
    return highdicom.seg.Segmentation(
        source_images=images,
        pixel_array=masks,
        segmentation_type="BINARY",
        segment_descriptions=[described(n + 1, name, kind) for n, name in enumerate(names.values())],
        series_instance_uid="1.2.3.4",
        series_number=9,
        sop_instance_uid="1.2.3.4.1",
        instance_number=1,
        manufacturer="m",
        manufacturer_model_name="m",
        software_versions="1",
        device_serial_number="1",
        transfer_syntax_uid=uid.ExplicitVRLittleEndian,
    )


def shuffled(made):
    """Put a SEG's frames into another order, pixels and positions together."""
    order = np.random.default_rng(3).permutation(int(made.NumberOfFrames))
    frames = made.pixel_array[order]
    made.PixelData = pydicom.pixels.pack_bits(frames.ravel(), pad=True)
    groups = list(made.PerFrameFunctionalGroupsSequence)
    made.PerFrameFunctionalGroupsSequence = [groups[place] for place in order]
    assert list(order) != sorted(order)
    return made


@pytest.mark.parametrize("turn", [Turn(), Turn(rows=True), Turn(rows=True, columns=True)])
def test_segments_lie_at_their_voxels_whatever_the_order_of_frames_and_files(tmp_path, turn):
    images = write_ct(tmp_path / "a", hu(), turn)
    drawn = truth()[:, :: -1 if turn.rows else 1, :: -1 if turn.columns else 1]
    shuffled(segmentation(images, drawn)).save_as(tmp_path / "a" / "000-drawn.dcm")
    scan = read(tmp_path)
    np.testing.assert_array_equal(scan.volume.hu, hu())
    np.testing.assert_array_equal(scan.truth, truth())
    assert scan.patient.startswith("p-")
    assert "P1" not in scan.patient


def test_a_segmentation_on_a_part_of_the_grid_lies_at_its_voxels(tmp_path):
    images = write_ct(tmp_path / "a", hu())
    made = segmentation(images, truth())
    frames = made.pixel_array[:, 4:44, 8:56]
    made.Rows, made.Columns = frames.shape[1:]
    made.PixelData = pydicom.pixels.pack_bits(np.ascontiguousarray(frames).ravel(), pad=True)
    for group in made.PerFrameFunctionalGroupsSequence:
        z = group.PlanePositionSequence[0].ImagePositionPatient[2]
        corner = [ORIGIN[0] + 8 * SPACING[2], ORIGIN[1] + 4 * SPACING[1], z]
        group.PlanePositionSequence[0].ImagePositionPatient = corner
    made.save_as(tmp_path / "a" / "seg.dcm")
    np.testing.assert_array_equal(read(tmp_path).truth, truth())


@pytest.mark.parametrize(("axis", "mm"), [(0, 0.2), (1, 0.2), (2, 1.5)])
def test_a_segmentation_on_another_grid_is_refused(tmp_path, axis, mm):
    images = write_ct(tmp_path / "a", hu())
    made = segmentation(images, truth())
    for group in made.PerFrameFunctionalGroupsSequence:
        place = list(group.PlanePositionSequence[0].ImagePositionPatient)
        place[axis] += mm
        group.PlanePositionSequence[0].ImagePositionPatient = place
    made.save_as(tmp_path / "a" / "seg.dcm")
    with pytest.raises(errors.Misaligned, match=r"^a: "):
        read(tmp_path)


def test_an_unknown_segment_is_refused_by_its_name(tmp_path):
    images = write_ct(tmp_path / "a", hu())
    segmentation(images, truth(), {**NAMES, labelled.Label.LM: "Mitral annulus"}).save_as(tmp_path / "a" / "s")
    with pytest.raises(errors.UnknownName, match=r"^a: .*'Mitral annulus'"):
        read(tmp_path)
    scan = read(tmp_path, site.Site(names=site.parse(["Mitral annulus=IGNORE"])))
    np.testing.assert_array_equal(scan.truth, np.where(truth() == labelled.Label.LM, 0, truth()))


def test_a_flipped_segmentation_is_refused(tmp_path):
    images = write_ct(tmp_path / "a", hu())
    segmentation(images, truth()[:, ::-1]).save_as(tmp_path / "a" / "seg.dcm")
    with pytest.raises(errors.ImplausibleMask, match=r"^a: .*rows reversed"):
        read(tmp_path)


def test_what_an_algorithm_drew_is_no_truth_unless_said_so(tmp_path):
    images = write_ct(tmp_path / "a", hu())
    segmentation(images, truth(), kind="AUTOMATIC").save_as(tmp_path / "a" / "seg.dcm")
    with pytest.raises(errors.NotAnnotated, match=r"^a: an algorithm drew"):
        read(tmp_path)
    assert read(tmp_path, site.Site(automatic=True)).truth.any()


def test_a_series_on_which_nobody_drew_is_not_annotated(tmp_path):
    write_ct(tmp_path / "a", hu())
    with pytest.raises(errors.NotAnnotated, match=r"^a: .*not zero"):
        read(tmp_path)
    assert not read(tmp_path, site.Site(zeros=frozenset({"a"}))).truth.any()


def test_the_series_that_was_drawn_on_is_taken_among_others(tmp_path):
    write_ct(tmp_path / "a" / "other", hu(1) - 300, series="1.2.3.7", FrameOfReferenceUID="1.2.3.8")
    images = write_ct(tmp_path / "a" / "this", hu())
    segmentation(images, truth()).save_as(tmp_path / "a" / "seg.dcm")
    np.testing.assert_array_equal(read(tmp_path).volume.hu, hu())


REGIONS = {int(label): name for label, name in NAMES.items()}


def write_structures(folder, contours, frame, names=REGIONS):
    """Write an RTSTRUCT; `contours` are (ROI number, kind, points in mm)."""
    made = dataset.Dataset()
    made.file_meta = dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = uid.RTStructureSetStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = "1.2.3.5"
    made.Modality, made.SeriesInstanceUID, made.StudyInstanceUID = "RTSTRUCT", "1.2.3.5.1", "1.2.3"
    made.StructureSetROISequence, made.ROIContourSequence = [], []
    for number, name in names.items():
        region, held = dataset.Dataset(), dataset.Dataset()
        region.ROINumber, region.ROIName, region.ReferencedFrameOfReferenceUID = number, name, frame
        made.StructureSetROISequence.append(region)
        held.ReferencedROINumber, held.ContourSequence = number, []
        for owner, kind, points in contours:
            if owner == number:
                item = dataset.Dataset()
                item.ContourGeometricType, item.NumberOfContourPoints = kind, len(points)
                item.ContourData = [f"{value:.3f}" for value in np.ravel(points)]
                held.ContourSequence.append(item)
        made.ROIContourSequence.append(held)
    reference = dataset.Dataset()
    reference.FrameOfReferenceUID = frame
    made.ReferencedFrameOfReferenceSequence = [reference]
    made.save_as(folder / "rt.dcm", enforce_file_format=True)


def outlines(margin=0.3):
    """Return closed contours, in mm, around every spot on each of its slices, feet first."""
    found = []
    for label, (slices, rows, columns) in SPOTS.items():
        top, bottom = rows.start - margin, rows.stop - 1 + margin
        left, right = columns.start - margin, columns.stop - 1 + margin
        for number in reversed(range(slices.start, slices.stop)):
            z = ORIGIN[2] - number * SPACING[0]
            corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
            points = [(ORIGIN[0] + x * SPACING[2], ORIGIN[1] + y * SPACING[1], z) for x, y in corners]
            found.append((int(label), "CLOSED_PLANAR", points))
    return found


@pytest.mark.parametrize("turn", [Turn(), Turn(columns=True)])
def test_contours_lie_at_their_voxels(tmp_path, turn):
    images = write_ct(tmp_path / "a", hu(), turn)
    write_structures(tmp_path / "a", outlines(), images[0].FrameOfReferenceUID)
    np.testing.assert_array_equal(read(tmp_path).truth, truth())


def test_a_region_without_contours_is_skipped_whatever_it_is_called(tmp_path):
    images = write_ct(tmp_path / "a", hu())
    names = {**REGIONS, 77: "BODY"}
    write_structures(tmp_path / "a", outlines(), images[0].FrameOfReferenceUID, names)
    np.testing.assert_array_equal(read(tmp_path).truth, truth())


def test_an_unknown_region_is_refused_by_its_name(tmp_path):
    images = write_ct(tmp_path / "a", hu())
    names = {**REGIONS, int(labelled.Label.RCA): "Heart"}
    write_structures(tmp_path / "a", outlines(), images[0].FrameOfReferenceUID, names)
    with pytest.raises(errors.UnknownName, match=r"^a: .*'Heart'"):
        read(tmp_path)


def test_an_inner_contour_is_cut_out_where_the_standard_says_so(tmp_path):
    slices, rows, columns = SPOTS[labelled.Label.RCA]
    hole = (slices.start, rows.start + 2, columns.start + 1)
    images = write_ct(tmp_path / "a", hu())
    place = (ORIGIN[0] + hole[2] * SPACING[2], ORIGIN[1] + hole[1] * SPACING[1], ORIGIN[2] - hole[0] * SPACING[0])
    drawn = [(owner, "CLOSEDPLANAR_XOR", points) for owner, _, points in outlines()]
    around = [tuple(np.add(place, (x, y, 0))) for x, y in ((-0.2, -0.2), (0.2, -0.2), (0.2, 0.2), (-0.2, 0.2))]
    drawn.append((int(labelled.Label.RCA), "CLOSEDPLANAR_XOR", around))
    write_structures(tmp_path / "a", drawn, images[0].FrameOfReferenceUID)
    wanted = truth()
    wanted[hole] = 0
    np.testing.assert_array_equal(read(tmp_path).truth, wanted)


@pytest.mark.parametrize("kind", ["OPEN_PLANAR", ""])
def test_a_contour_that_encloses_nothing_is_refused(tmp_path, kind):
    images = write_ct(tmp_path / "a", hu())
    drawn = [(owner, kind, points) for owner, _, points in outlines()]
    write_structures(tmp_path / "a", drawn, images[0].FrameOfReferenceUID)
    with pytest.raises(errors.Unreadable, match=r"^a: a contour of type"):
        read(tmp_path)


def test_a_contour_between_slices_is_refused(tmp_path):
    images = write_ct(tmp_path / "a", hu())
    drawn = [(owner, kind, [(x, y, z + 1.5) for x, y, z in points]) for owner, kind, points in outlines()]
    write_structures(tmp_path / "a", drawn, images[0].FrameOfReferenceUID)
    with pytest.raises(errors.Misaligned, match=r"^a: .*between the scan's slices"):
        read(tmp_path)


def test_contours_on_a_frame_of_reference_that_no_series_has_are_refused(tmp_path):
    write_ct(tmp_path / "a", hu())
    write_structures(tmp_path / "a", outlines(), "1.2.3.99")
    with pytest.raises(errors.Misaligned, match=r"^a: "):
        read(tmp_path)


def test_a_file_called_dicom_that_is_none_is_refused_for_it_may_hold_a_mask(tmp_path):
    images = write_ct(tmp_path / "a", hu())
    segmentation(images, truth()).save_as(tmp_path / "a" / "seg.dcm")
    (tmp_path / "a" / "notes.txt").write_text("no mask")
    assert read(tmp_path).truth.any()
    (tmp_path / "a" / "seg2.dcm").write_bytes(b"cut off")
    with pytest.raises(errors.Unreadable, match=r"^a: "):
        read(tmp_path)


def test_files_beside_the_cases_folders_are_not_passed_over(tmp_path):
    write_ct(tmp_path / "a", hu())
    (tmp_path / "seg.dcm").write_bytes(b"")
    with pytest.raises(errors.DatasetError, match=r"beside folders"):
        dicom.find(tmp_path, SITE)


def test_a_case_s_files_may_lie_in_folders_of_their_own(tmp_path):
    images = write_ct(tmp_path / "a" / "study" / "ct", hu())
    (tmp_path / "a" / "study" / "seg").mkdir()
    segmentation(images, truth()).save_as(tmp_path / "a" / "study" / "seg" / "0.dcm")
    np.testing.assert_array_equal(read(tmp_path).truth, truth())


def test_a_broken_object_is_refused(tmp_path):
    images = write_ct(tmp_path / "a", hu())
    made = segmentation(images, truth())
    del made.SegmentSequence
    made.save_as(tmp_path / "a" / "seg.dcm")
    with pytest.raises(errors.Unreadable, match=r"^a: "):
        read(tmp_path)


def test_where_the_header_names_no_patient_the_folder_s_name_does_by_the_site_s_pattern(tmp_path):
    images = write_ct(tmp_path / "pat7_b", hu(), PatientID="")
    segmentation(images, truth()).save_as(tmp_path / "pat7_b" / "seg.dcm")
    (entry,) = dicom.find(tmp_path, site.Site(patient=r"^(pat\d+)"))
    assert entry.read().patient == "pat7"
