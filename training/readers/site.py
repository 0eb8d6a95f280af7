"""What a site says of its own data, and what a folder holds of it."""

import dataclasses
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from training import errors, labelled

Names: TypeAlias = Mapping[str, labelled.Label]

_L = labelled.Label
_NAMED = {
    _L.LM: "lm lmca left_main left_main_coronary left_main_coronary_artery left_main_stem",
    _L.LAD: "lad left_anterior_descending left_anterior_descending_artery left_anterior_descending_coronary_artery",
    _L.LCX: "lcx cx circumflex left_circumflex left_circumflex_artery left_circumflex_coronary_artery",
    _L.RCA: "rca right_coronary right_coronary_artery",
    _L.CORONARY: "cac coronary coronary_artery coronary_arteries",
}
ARTERIES: Names = {name.replace("_", " "): label for label, names in _NAMED.items() for name in names.split()}
"""Names as they are usual. 'Left coronary artery' is not among them: some mean the main stem, some the whole side."""

_NUMBER = re.compile(r"[-+]?\d*\.?\d+(e[-+]?\d+)?", re.IGNORECASE)
_TAIL = re.compile(r"( (calcium|calcifications?|calcified|calc|plaques?|cac|lesions?|ca))+$")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Site:
    """Hold what a site says of its data beside the files.

    `names` adds meanings of labels (NONE: not coronary, leave it out). `zeros` names the cases in which a reader found
    no calcium; with `empty_is_zero` an empty mask says so too. `thickness` in mm is that of formats that state none;
    None takes slices as contiguous. `patient` is a pattern whose first group in a case's name is the patient.
    `automatic` accepts segments that an algorithm drew.
    """

    names: Names = dataclasses.field(default_factory=dict)
    zeros: frozenset[str] = frozenset()
    empty_is_zero: bool = False
    thickness: float | None = None
    patient: str = r"^(sub-[A-Za-z0-9]+|.+)"
    automatic: bool = False

    def __post_init__(self) -> None:
        if self.thickness is not None and not (math.isfinite(self.thickness) and self.thickness > 0):
            msg = f"a slice thickness of {self.thickness:g} mm is none"
            raise errors.DatasetError(msg)
        try:
            groups = re.compile(self.patient).groups
        except re.error as exc:
            msg = f"the patient's pattern '{self.patient}' is none: {exc}"
            raise errors.DatasetError(msg) from exc
        if not groups:
            msg = f"the patient's pattern '{self.patient}' needs a group: what in parentheses is the patient"
            raise errors.DatasetError(msg)

    def label(self, case: str, name: str, known: Names = ARTERIES) -> labelled.Label:
        """Return what a label's name means, the site's own words first; UnknownName."""
        for meanings in (self.names, known):
            for said in (plain(name), _TAIL.sub("", plain(name))):
                if said in meanings:
                    return meanings[said]
        msg = f"the label '{name}' has no known meaning; say --name '{name}=LAD' (or LM, LCX, RCA, CORONARY, IGNORE)"
        raise errors.UnknownName(case, msg)

    def patient_of(self, case: str) -> str:
        """Return the patient of a case by its name; UnknownName: a guess might let one patient train and judge."""
        found = re.search(self.patient, case)
        if not found or not found[1]:
            msg = f"the pattern '{self.patient}' finds no patient in its name"
            raise errors.UnknownName(case, msg)
        return found[1]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """Hold a case that was found, and how it is read."""

    name: str
    read: Callable[[], labelled.LabelledScan]


def plain(name: str) -> str:
    """Return a name in the form that meanings are kept under: case and separators do not matter.

    A number stays as it is: -1 is not 1, which many a mask calls what its reader left open.
    """
    if _NUMBER.fullmatch(name.strip()):
        return name.strip().casefold()
    return re.sub(r"[\s_\-./]+", " ", name).strip().casefold()


def parse(names: Iterable[str]) -> Names:
    """Read meanings such as 'LAD calc=LAD' and 'Heart=IGNORE'; DatasetError."""
    meanings = {}
    for text in names:
        name, _, meant = text.rpartition("=")
        code = "NONE" if meant.strip().upper() == "IGNORE" else meant.strip().upper()
        if not name or code not in labelled.Label.__members__:
            msg = f"'{text}' is no NAME=ARTERY with LM, LAD, LCX, RCA, CORONARY or IGNORE"
            raise errors.DatasetError(msg)
        meanings[plain(name)] = labelled.Label[code]
    return meanings


def natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts numbers in names by their size."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
