"""The candidates of a result as a table: what was accepted or doubted, and why."""

import collections
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import rich.console


def show(shown: "rich.console.Console", result: Mapping[str, Any], *, everything: bool) -> None:
    """Print the candidates in the order of `finding.reading_place`; the rejected are counted, or listed too.

    A series whose candidates were not judged shows none: its row already says why.
    """
    from cac import finding
    from triage import domain

    if result["provider"] == domain.NO_PROVIDER:
        return
    statuses = finding.CandidateStatus
    found = sorted(
        result["candidates"],
        key=lambda one: finding.reading_place(statuses(one["status"]), one["probabilities"], one["number"]),
    )
    counts = collections.Counter(one["status"] for one in found)
    rejected = counts[statuses.REJECTED]
    more = " (--all lists them)" if rejected and not everything else ""
    shown.print(
        f"…{result['series_instance_uid'][-16:]}: candidates >= 130 HU in the heart region: "
        f"{counts[statuses.ACCEPTED]} accepted, {counts[statuses.DOUBT]} in doubt, {rejected} rejected{more}.",
        soft_wrap=True,
    )
    listed = [one for one in found if everything or one["status"] != statuses.REJECTED]
    if listed:
        shown.print(_table(listed))


def _table(listed: list[Mapping[str, Any]]) -> Any:
    import rich.table

    from cac import finding

    named = ("no.", "decision", *finding.Plane, "voxels", "mm3", "max HU", "slice", "centre (LPS, mm)", "why")
    table = rich.table.Table(*(str(name) for name in named))
    for one in listed:
        table.add_row(
            str(one["number"]),
            one["status"],
            *(f"{one['probabilities'][plane]:.3f}" for plane in finding.Plane),
            str(one["voxels"]),
            f"{one['volume_mm3']:.1f}",
            f"{one['max_hu']:.0f}",
            str(one["slice_number"]),
            " ".join(f"{side:.1f}" for side in one["centre"]),
            f"{one['reason']['code']}: {one['reason']['text']}",
        )
    return table
