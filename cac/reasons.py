"""Why a series ended as it did: one code and one sentence for every case.

The codes are part of the REST interface: a member may be added, never renamed. The service's own
reasons stand here too, because a worklist shows one list and one Enum must hold them all.
"""

import dataclasses
from enum import StrEnum


class ReasonCode(StrEnum):
    """Name a reason; `sentence` is what a radiologist reads, with its facts in braces."""

    sentence: str

    def __new__(cls, code: str, sentence: str) -> "ReasonCode":
        """Make a member whose value is the code."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.sentence = sentence
        return member

    # Geometry: the slices are not one regular axial volume (UNSUITABLE)
    SINGLE_SLICE = "single_slice", "The series has a single slice: no volume can be built."
    MISSING_SLICES = (
        "missing_slices",
        "Slices are missing: a gap of {gap_mm:.2f} mm where {increment_mm:.2f} mm is the rule.",
    )
    DUPLICATE_SLICES = "duplicate_slices", "{count} slice positions occur more than once."
    TILTED = "tilted", "The slices are sheared: positions do not follow the slice normal (gantry tilt)."
    UNEVEN_SPACING = "uneven_spacing", "Slice positions are unevenly spaced ({low_mm:.2f} to {high_mm:.2f} mm)."
    MIXED_GEOMETRY = "mixed_geometry", "The series mixes images of different {what}."
    NOT_AXIAL = "not_axial", "The slices are not axial."
    # Header (UNSUITABLE)
    NOT_CT = "not_ct", "The series is not CT ({modality})."
    ENHANCED_CT = "enhanced_ct", "Enhanced CT multi-frame objects are kept but not read by this version."
    LOCALIZER = "localizer", "The series is a localizer."
    DERIVED = "derived", "The series is derived, reformatted or mono-energetic ({image_type})."
    LOSSY = "lossy", "The images were lossily compressed."
    CONTRAST_TAG = "contrast_tag", "The header names a contrast agent."
    KVP_ABSENT = "kvp_absent", "The tube voltage is not stated."
    KVP_NOT_120 = "kvp_not_120", "The tube voltage is {kvp:g} kVp; the 130 HU threshold holds at 120 kVp."
    KERNEL_ABSENT = "kernel_absent", "The reconstruction kernel is not stated."
    KERNEL_NOT_LISTED = "kernel_not_listed", "The kernel {kernel} is not on the list for calcium scoring."
    THICKNESS_ABSENT = "thickness_absent", "The slice thickness is not stated."
    THICK_SLICES = "thick_slices", "Slices are {thickness_mm:.2f} mm thick; at most {limit_mm:.2f} mm can be scored."
    INCREMENT_GAP = "increment_gap", "Slices {thickness_mm:.2f} mm thick lie {increment_mm:.2f} mm apart: gaps between."
    RESCALE_ABSENT = "rescale_absent", "Rescale slope or intercept is missing: values are not HU."
    # Image (UNSUITABLE)
    CONTRAST_IMAGE = "contrast_image", "The blood pool measures {mean_hu:.0f} HU: contrast medium is likely."
    BLOOD_NOT_MEASURED = "blood_not_measured", "The blood pool is too small to measure contrast and noise in."
    NOISY = "noisy", "Noise in the blood pool is {sd_hu:.0f} HU; at most {limit_hu:.0f} HU can be trusted."
    METAL = "metal", "Metal (above {limit_hu:.0f} HU) lies near the heart."
    RESCALE_IMPLAUSIBLE = "rescale_implausible", "HU values are implausible: {what}."
    # Heart (INDETERMINATE, or UNSUITABLE where none is seen at all)
    HEART_NOT_FOUND = "heart_not_found", "No heart was found between two lungs."
    HEART_UNSTABLE = "heart_unstable", "The heart could not be followed from slice to slice."
    HEART_OFF_CENTRE = "heart_off_centre", "The heart's centre lies {offset_mm:.0f} mm from the body's."
    HEART_CUT_ABOVE = "heart_cut_above", "The upper end of the heart lies outside the stack."
    HEART_CUT_BELOW = "heart_cut_below", "The lower end of the heart lies outside the stack."
    HEART_CUT_IN_PLANE = "heart_cut_in_plane", "The heart or its box leaves the field of view by {distance_mm:.0f} mm."
    # Candidates and nets
    CALCIUM_ACCEPTED = "calcium_accepted", "All three nets accept coronary calcium in {count} lesion(s)."
    CANDIDATE_IN_DOUBT = "candidate_in_doubt", "{count} candidate(s) at or above 130 HU remain in doubt."
    THIN_LESION = "thin_lesion", "{count} accepted candidate(s) lie in a single slice of a stack without overlap."
    ERASED_BY_SLABS = "erased_by_slabs", "{count} dense spot(s) on the thin slices vanish in the 3 mm average."
    FADED_BY_SLABS = "faded_by_slabs", "{count} dense spot(s) on the thin slices nearly vanish in the 3 mm average."
    # One candidate's decision; the doubts above stand for a candidate's too
    ALL_PLANES_ACCEPT = "all_planes_accept", "All three planes accept {voxels} voxel(s) of it: {planes}."
    NO_PLANE_SUSPECTS = "no_plane_suspects", "No plane is sure of calcium: {planes}."
    ONE_PLANE_ALONE = (
        "one_plane_alone",
        "Only the {plane} plane is sure of calcium ({own}), but not as sure as one alone must be ({high}): {others}.",
    )
    PLANES_APART = (
        "planes_apart",
        "Planes are sure of calcium, but no two of them of the same voxel: {planes}.",
    )
    FLAT_OBJECT = (
        "flat_object",
        "All three planes accept voxels of it, but these are a 2D object: dropped by the paper's 2D rule.",
    )
    NON_FINITE = "non_finite", "A net answered with a value that is not a number."
    NO_CALCIUM = "no_calcium", "No candidate at or above 130 HU near the heart is accepted or in doubt."
    PROFILE_NOT_DEFAULT = "profile_not_default", "The paper profile is for study and can lower nothing."
    SUITABILITY_IGNORED = "suitability_ignored", "Suitability was overridden for study: this result can lower nothing."
    # Receiving and completeness
    FEWER_THAN_DECLARED = "fewer_than_declared", "{received} of {declared} declared images arrived."
    ASSOCIATION_ABORTED = "association_aborted", "The sender broke off a transfer of this series."
    CONFLICTING_COPIES = "conflicting_copies", "{count} image(s) arrived again with other content under the same UID."
    UNREADABLE_IMAGE = "unreadable_image", "{count} image(s) could not be read."
    MISSING_FILE = "missing_file", "{count} image file(s) are gone from the spool or altered there."
    TWO_PATIENTS = "two_patients", "The study's images name more than one patient."
    SERIES_IN_TWO_STUDIES = "series_in_two_studies", "Images of this series claim to belong to more than one study."
    QUIET_INCOMPLETE = "quiet_incomplete", "No image arrived for {seconds:.0f} s, but the series looks incomplete."
    # Study and flag
    ARRIVING = "arriving", "Images of this study are still arriving."
    WAITING = "waiting", "A series of this study is waiting for its result."
    NO_ELIGIBLE_SERIES = "no_eligible_series", "The study holds no series that calcium scoring could use."
    NOT_ADMITTED = "not_admitted", "The site's rule does not admit this study: it keeps its place."
    EARLIER_FINDING = "earlier_finding", "An earlier run on the same images was not negative; a person must decide."
    NODE_NOT_AGREED = "node_not_agreed", "The node has not yet checked that its spool and database agree."
    ERROR = "error", "Processing failed: {what}."
    OUT_OF_RETRIES = "out_of_retries", "Processing failed {attempts} times and was given up."


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reason:
    """Hold one code and the sentence a person reads."""

    code: ReasonCode
    text: str


def reason(code: ReasonCode, **facts: object) -> Reason:
    """Build a reason, its sentence filled with the facts it names."""
    return Reason(code=code, text=code.sentence.format(**facts))
