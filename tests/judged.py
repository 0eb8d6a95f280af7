"""Rows made by hand, for tests of tables and of the choice of thresholds."""

from training.judging import rows


def row(**changes: object) -> rows.Row:
    """Make the row of a zero scan that was called absent; `changes` are fields."""
    fields = {
        "set_name": "internal",
        "name": "a",
        "patient": changes.get("name", "a"),
        "source": "synthetic phantoms",
        "synthetic": True,
        "way": "dilated",
        "models": "0a" * 32,
        "data": "0b" * 32,
        "outcome": "absent",
        "reasons": ("no_calcium",),
        "positive": False,
        "true": 0.0,
        "found": 0.0,
        "tp": 0.0,
        "fp": 0.0,
        "fn": 0.0,
        "arteries": {},
        "spots": (),
        "faint": {},
        "lesions": 0,
        "outside": 0,
        "cut": 0,
        "averaged": False,
        "seconds": 2.0,
        "making": 5.0,
    }
    return rows.Row(**{**fields, **changes})


def positive(**changes: object) -> rows.Row:
    """Make the row of a scan of Agatston 15, half of which was found."""
    fields = {"name": "b", "outcome": "present", "positive": True, "true": 15.0, "found": 10.0}
    return row(**{**fields, "tp": 20.0, "fp": 10.0, "fn": 20.0, "lesions": 1, **changes})


def spot(probability: float, **changes: object) -> rows.Spot:
    """Make a candidate that all three nets call calcium as surely."""
    fields = {
        "status": "doubt",
        "doubt": "candidate_in_doubt",
        "voxels": 9,
        "max_hu": 300.0,
        "speck": False,
        "true": False,
        "what": "noise",
    }
    triple = (probability,) * 3
    return rows.Spot(**{**fields, "probabilities": triple, "voxelwise": (triple,), **changes})
