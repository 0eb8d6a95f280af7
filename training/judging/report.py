"""Write what rows came to: one Markdown file, a CSV file a table, one of all scans, and plots."""

import pathlib
from collections.abc import Sequence

from training.judging import detail, paper, plots, rows, tables

REPORT = "report.md"


def write(judged: Sequence[rows.Row], folder: pathlib.Path, told: Sequence[str] = ()) -> str:
    """Write all files into the folder; return the report's text. `told` are sentences for its head."""
    said = tables.caution(judged)
    demands, *rest = detail.all_tables(judged)
    made = [demands, *paper.all_tables(judged), *rest]
    for table in [*made, paper.figures_of(judged), listing(judged)]:
        (folder / f"{table.name}.csv").write_text(tables.comma_separated(table, said), encoding="utf-8")
    pictures = plots.write(judged, folder, said)
    text = "\n".join(
        [
            "# Evaluation",
            "",
            *([said, ""] if said else []),
            *(f"{sentence}\n" for sentence in (*told, *_sources(judged))),
            *(tables.markdown(table, said) for table in made),
            *(f"![{name}]({name})\n" for name in pictures),
        ]
    )
    (folder / REPORT).write_text(text, encoding="utf-8")
    return text


def listing(judged: Sequence[rows.Row]) -> tables.Table:
    """List every scan in every way."""
    names = (
        "set_name",
        "name",
        "way",
        "outcome",
        "stratum",
        "true",
        "found",
        "tp",
        "fp",
        "fn",
        "outside",
        "cut",
        "seconds",
    )
    body = tuple(
        (*("" if getattr(row, name) is None else getattr(row, name) for name in names), " ".join(row.reasons))
        for row in judged
    )
    return tables.Table(name="scans", title="Scans", head=(*names, "reasons"), body=body)


def _sources(judged: Sequence[rows.Row]) -> list[str]:
    """Say of each set how many scans of which source it holds, and which nets judged them."""
    told = []
    for group in tables.groups(judged, threshold=False):
        sources = "; ".join(sorted({row.source for row in group.scans}))
        nets = ", ".join(sorted({row.models[:12] for row in group.scans}))
        told.append(f"{group.set_name}, {group.way}: {len(group.scans)} scans ({sources}), nets and thresholds {nets}.")
    return told
