import io
from typing import Any

import rich.console

from cli import candidates

UID = "1.2.826.0.1.3680043.8.498.1.1"


def one(number: int, status: str, second: float) -> dict[str, Any]:
    return {
        "number": number,
        "centre": (1.0, -2.0, 30.0 + number),
        "slice_number": 7,
        "voxels": 9,
        "volume_mm3": 6.75,
        "max_hu": 410.4,
        "probabilities": {"axial": 0.971, "sagittal": second, "coronal": 0.0},
        "status": status,
        "reason": {"code": f"code_{number}", "text": f"Sentence {number}."},
    }


FOUND = [one(1, "rejected", 0.1), one(2, "doubt", 0.3), one(3, "accepted", 0.6)]


def shown(found: list[dict[str, Any]], *, everything: bool = False, provider: str = "CPU") -> str:
    text = io.StringIO()
    console = rich.console.Console(file=text, width=200)
    result = {"series_instance_uid": UID, "candidates": found, "provider": provider}
    candidates.show(console, result, everything=everything)
    return text.getvalue()


def test_accepted_and_doubtful_candidates_are_listed_the_rejected_counted() -> None:
    text = shown(FOUND)
    assert "1 accepted, 1 in doubt, 1 rejected (--all lists them)." in text
    assert text.index("code_3: Sentence 3.") < text.index("code_2: Sentence 2.")
    assert "code_1" not in text
    assert all(word in text for word in ("0.971", "0.600", "6.8", "410", "1.0 -2.0 33.0"))


def test_all_lists_the_rejected_last() -> None:
    text = shown(FOUND, everything=True)
    assert text.index("code_2") < text.index("code_1: Sentence 1.")
    assert "--all" not in text


def test_a_negative_shows_the_count_alone() -> None:
    text = shown(FOUND[:1])
    assert text.count("\n") == 1
    assert "0 accepted, 0 in doubt, 1 rejected" in text


def test_a_series_without_judged_candidates_shows_none() -> None:
    assert shown([], provider="none") == ""
