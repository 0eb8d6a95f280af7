"""Compare phantoms with real chest CT: HU, noise, texture, edges, dense voxels, sizes, lesions.

`python -m benchmarks.likeness SERIES_FOLDER --masks MASKS_FOLDER` takes a folder with one folder a series, and the
real lesion masks (NRRD). It measures real series and phantoms, on one core in about four minutes, writes the tables
into docs/PHANTOM.md between its two marks, and the pictures into docs/pictures. `--text FILE` writes all scans side by
side too, as plain text. Synthetic data measures software, never clinical performance.
"""

import argparse
import pathlib
import sys
from collections.abc import Sequence

from benchmarks.likeness import dense, measures, pictures, report, subjects

DOCS = subjects.ROOT / "docs"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and write what was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.likeness", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("series", type=pathlib.Path)
    parser.add_argument("--masks", type=pathlib.Path, help="folder of real lesion masks")
    parser.add_argument("--text", type=pathlib.Path, help="write all scans side by side here, too")
    parser.add_argument("--docs", type=pathlib.Path, default=DOCS, help="folder of PHANTOM.md and pictures/")
    asked = parser.parse_args(argv)
    found = _measured(asked.series)
    if asked.text:
        asked.text.write_text(report.side_by_side(found), encoding="utf-8")
    real, made = (dense.masks(asked.masks), dense.phantoms()) if asked.masks else ([], [])
    pictures.write(found, asked.docs / "pictures")
    page = asked.docs / "PHANTOM.md"
    page.write_text(
        report.within(page.read_text(encoding="utf-8"), report.markdown(found, real, made)), encoding="utf-8"
    )
    return 0


def _measured(series: pathlib.Path) -> list[measures.Measured]:
    found = []
    for wanted in subjects.REAL:
        found.append(measures.take(subjects.read(series, wanted)))
        print(wanted.name, file=sys.stderr, flush=True)
    for recipe in subjects.PHANTOMS:
        found.append(measures.take(subjects.make(recipe)))
        print(found[-1].name, file=sys.stderr, flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
