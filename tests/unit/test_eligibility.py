"""What a series counts for by its header, and which studies a site admits."""

import instances as some
import pytest

from cac import reasons
from triage import domain, eligibility, settings

Code, Standing = reasons.ReasonCode, domain.Standing
LIMITS = some.RULES.limits


def header(**changed):
    given = some.instance(**changed)
    names = [name for name in domain.HeaderFacts.__dataclass_fields__ if name != "description"]
    return domain.HeaderFacts(**{name: getattr(given, name) for name in names})


SCOUT = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)


@pytest.mark.parametrize(
    ("changed", "standing", "code"),
    [
        ({}, Standing.ELIGIBLE, None),
        ({"modality": "SR"}, Standing.UNSUITABLE, Code.NOT_CT),
        ({"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER"), "orientation": SCOUT}, Standing.NO_VOTE, Code.LOCALIZER),
        ({"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER")}, Standing.UNSUITABLE, Code.LOCALIZER),
        (
            {"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER"), "orientation": None},
            Standing.UNSUITABLE,
            Code.LOCALIZER,
        ),
        ({"image_type": ("DERIVED", "SECONDARY", "MPR")}, Standing.NO_VOTE, Code.DERIVED),
        ({"image_type": ()}, Standing.UNSUITABLE, Code.DERIVED),
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.2.1"}, Standing.UNSUITABLE, Code.ENHANCED_CT),
        ({"kvp": 140.0}, Standing.UNSUITABLE, Code.KVP_NOT_120),
        ({"kernel": "B70f"}, Standing.UNSUITABLE, Code.KERNEL_NOT_LISTED),
        ({"thickness": 8.0}, Standing.UNSUITABLE, Code.THICK_SLICES),
        ({"contrast_agent": "ULTRAVIST"}, Standing.UNSUITABLE, Code.CONTRAST_TAG),
        ({"lossy": True}, Standing.UNSUITABLE, Code.LOSSY),
        ({"rescale_present": False}, Standing.UNSUITABLE, Code.RESCALE_ABSENT),
    ],
)
def test_a_header_gives_a_standing_and_its_reason(changed, standing, code):
    own, why = eligibility.standing([header(**changed)], LIMITS)
    assert own is standing
    assert [reason.code for reason in why] == ([code] if code else [])


def test_one_image_that_fails_is_enough():
    own, _ = eligibility.standing([header(), header(kvp=140.0)], LIMITS)
    assert own is Standing.UNSUITABLE


def test_a_series_is_silent_only_if_every_image_is():
    own, _ = eligibility.standing([header(), header(image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"))], LIMITS)
    assert own is Standing.UNSUITABLE


@pytest.mark.parametrize(
    ("counts", "standing"),
    [({}, Standing.NO_VOTE), ({"unreadable": 1}, Standing.UNSUITABLE), ({"aside": 1}, Standing.UNSUITABLE)],
)
def test_a_series_without_readable_images(counts, standing):
    assert eligibility.standing([], LIMITS, **counts)[0] is standing


def own(uid, standing, code=None, **changed):
    why = () if code is None else (reasons.Reason(code=code, text=""),)
    values = {"frame_of_reference_uid": "9", "acquisition": "1", **changed}
    return eligibility.Own(series_instance_uid=uid, standing=standing, reasons=why, **values)


@pytest.mark.parametrize(
    ("other", "standing"),
    [
        (own("2", Standing.UNSUITABLE, Code.KERNEL_NOT_LISTED), Standing.OTHER_RECONSTRUCTION),
        (own("2", Standing.UNSUITABLE, Code.THICK_SLICES), Standing.OTHER_RECONSTRUCTION),
        (own("2", Standing.UNSUITABLE, Code.CONTRAST_TAG), Standing.UNSUITABLE),
        (own("2", Standing.UNSUITABLE, Code.KERNEL_NOT_LISTED, acquisition="2"), Standing.UNSUITABLE),
        (own("2", Standing.UNSUITABLE, Code.KERNEL_NOT_LISTED, frame_of_reference_uid="8"), Standing.UNSUITABLE),
        (own("2", Standing.UNKNOWN), Standing.UNKNOWN),
    ],
)
def test_another_reconstruction_of_an_eligible_acquisition_has_no_vote(other, standing):
    assert eligibility.among([own("1", Standing.ELIGIBLE), other])["2"] is standing


def test_equal_emptiness_is_no_common_acquisition():
    empty = {"frame_of_reference_uid": "", "acquisition": ""}
    series = [own("1", Standing.ELIGIBLE, **empty), own("2", Standing.UNSUITABLE, Code.THICK_SLICES, **empty)]
    assert eligibility.among(series)["2"] is Standing.UNSUITABLE


def test_a_sharp_series_without_an_eligible_one_keeps_its_place():
    series = [own("1", Standing.NO_VOTE), own("2", Standing.UNSUITABLE, Code.KERNEL_NOT_LISTED)]
    assert eligibility.among(series)["2"] is Standing.UNSUITABLE


SITE = eligibility.Admission(admit=settings.ADMITTED, admit_not=settings.NOT_ADMITTED, admit_codes=("426005005",))


@pytest.mark.parametrize(
    ("study", "admitted"),
    [
        ({"descriptions": ("CT Calcium Score",)}, True),
        ({"descriptions": ("CT CHEST",)}, False),
        ({"descriptions": ("CT Chest with CaScore",)}, False),
        ({"descriptions": ("CT Calcium Score", "CT CHEST")}, False),
        ({"descriptions": ("CT Calcium Score", "CT routine")}, False),
        ({"descriptions": ("CT",), "series_descriptions": ("CaScore 3.0 Qr36",)}, True),
        ({"descriptions": ("CT",), "series_descriptions": ("Thorax 3.0",), "body_parts": ("HEART",)}, False),
        ({"body_parts": ("HEART",)}, True),
        ({"body_parts": ("CHEST",)}, False),
        ({"procedure_codes": ("426005005",)}, True),
        ({"procedure_codes": ("426005005", "169069000")}, False),
        ({}, False),
    ],
)
def test_a_site_admits_by_code_description_or_body_part(study, admitted):
    assert SITE.admits(eligibility.Study(**study)) is admitted


def test_an_empty_rule_admits_nothing():
    blank = eligibility.Admission(admit="", admit_not="")
    assert not blank.admits(eligibility.Study(descriptions=("CT Calcium Score",), procedure_codes=("1",)))


@pytest.mark.parametrize(
    "changed",
    [{"modality": ""}, {"series_description": "CaSc 3mm, see MPR"}, {"series_description": "CaSc after scout repeat"}],
)
def test_free_text_or_a_missing_modality_takes_no_vote_away(changed):
    own, _ = eligibility.standing([header(**changed)], LIMITS)
    assert own is not Standing.NO_VOTE


@pytest.mark.parametrize("image_type", [("PRIMARY", "AXIAL"), ("AXIAL",), ("UNKNOWN", "PRIMARY", "AXIAL"), ("DERIVE",)])
def test_an_image_type_that_says_neither_original_nor_derived_takes_no_vote_away(image_type):
    own, why = eligibility.standing([header(image_type=image_type)], LIMITS)
    assert own is Standing.UNSUITABLE
    assert [reason.code for reason in why] == [Code.DERIVED]


@pytest.mark.parametrize("image_type", [("DERIVED", "PRIMARY", "AXIAL"), ("DERIVED",), ("DERIVED", "", "AXIAL")])
def test_derived_images_that_are_not_called_secondary_take_no_vote_away(image_type):
    own, _ = eligibility.standing([header(image_type=image_type)], LIMITS)
    assert own is Standing.UNSUITABLE


@pytest.mark.parametrize("image_type", [("DERIVED", "SECONDARY", "AXIAL"), ("DERIVED", "PRIMARY", "MPR")])
def test_images_called_secondary_or_reformatted_have_no_vote(image_type):
    own, _ = eligibility.standing([header(image_type=image_type)], LIMITS)
    assert own is Standing.NO_VOTE


def test_a_series_with_copies_aside_keeps_its_study_where_it_is():
    own, _ = eligibility.standing([header(image_type=("DERIVED", "SECONDARY", "MPR"))], LIMITS, aside=1)
    assert own is Standing.UNSUITABLE
