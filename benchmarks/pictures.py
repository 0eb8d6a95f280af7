"""Write the small pictures of docs/DATA.md, and say what the shipped nets make of each real series.

`python -m benchmarks.pictures SERIES_FOLDER docs/pictures` takes a folder with one folder a series. Where the gate
says no it is overridden, for study: an unsuitable series is shown too. Only series whose licence lets pictures be
passed on.
"""

import argparse
import io
import pathlib

from PIL import Image

from cac import finding
from triage import manifest, preview
from worker import analyse, inference

MODELS = pathlib.Path(__file__).parents[1] / "models"
SHOWN = (
    "acrin_nsclc_042_marked_calcium",
    "lidc_idri_0001_contrast",
    "lidc_idri_0002_zero",
    "lung_pet_ct_dx_A0001_5mm",
    "lung_pet_ct_dx_A0002_8mm",
)
MOST_BYTES = 150_000


def main() -> None:
    """Write one picture a series that is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("series", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    asked = parser.parse_args()
    stated = manifest.load(MODELS / "manifest.json")
    engine = inference.load(stated, MODELS, device="cpu", threads=2)
    for name in SHOWN:
        found, picture = look(asked.series / name, engine)
        (asked.out / f"{name}.png").write_bytes(smaller(picture))
        print(name, found.outcome.value, *(reason.text for reason in found.reasons), sep=" | ", flush=True)


def look(series: pathlib.Path, engine: analyse.Engine) -> tuple[finding.CalciumFinding, bytes]:
    """Analyse a folder's series, for study where it is unsuitable; return the finding and its picture."""
    paths = sorted(series.glob("*.dcm"))
    if not paths:
        raise SystemExit(f"{series} holds no DICOM files.")
    done = analyse.analyse(paths, engine, analyse.Method())
    if done.finding.outcome is finding.Outcome.UNSUITABLE:
        done = analyse.analyse(paths, engine, analyse.Method(ignore_suitability=True))
    if done.loaded is None:
        raise SystemExit(f"{series.name}: no volume, so no picture.")
    return done.finding, preview.render(done.finding, done.finding.scored or done.loaded.volume)


def smaller(picture: bytes) -> bytes:
    """Reduce a picture's greys until it is small enough for a repository; its marks keep their colours."""
    whole = Image.open(io.BytesIO(picture))
    for greys in (62, 46, 30, 22, 16):
        palette = Image.new("P", (1, 1))
        even = [(level * 255 // (greys - 1),) * 3 for level in range(greys)]
        palette.putpalette([part for colour in (*even, preview.ACCEPTED_RGB, preview.DOUBT_RGB) for part in colour])
        buffer = io.BytesIO()
        whole.quantize(palette=palette, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
        if buffer.tell() <= MOST_BYTES:
            return buffer.getvalue()
    raise SystemExit("The picture stays too large.")


if __name__ == "__main__":
    main()
