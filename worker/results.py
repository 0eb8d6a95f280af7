"""What a run leaves behind: the SEG, the picture, and the finding in plain words. Files appear whole or not at all."""

import contextlib
import dataclasses
import io
import json
import os
import pathlib
import secrets
from typing import Any

from cac import finding
from triage import errors, preview
from triage.dicom import reading, segmentation
from worker import analyse

SEGMENTATION = "segmentation.dcm"
PREVIEW = "preview.png"
RESULT = "result.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hashes:
    """Name what a result follows from: the images, and all that decides the nets' answer."""

    content: str
    models: str

    @property
    def folder(self) -> str:
        """Return the name of the folder for results of this content and these models."""
        return f"{self.content[:16]}-{self.models[:16]}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Written:
    """Name the files that were written, None for those a result has not."""

    segmentation: pathlib.Path | None = None
    segmentation_uid: str | None = None
    preview: pathlib.Path | None = None


def write(analysis: analyse.Analysis, hashes: Hashes, folder: pathlib.Path) -> Written:
    """Write SEG, preview and result.json durably; the same result again gives the same bytes but for its timings.

    Raises StorageError. A SEG only for accepted calcium, a preview only where there was a volume.
    """
    series, found = analysis.loaded, analysis.finding
    written = Written()
    if series is not None:
        scored = found.scored or series.volume
        _save(folder / PREVIEW, preview.render(found, scored))
        written = Written(preview=folder / PREVIEW)
    if series is not None and found.mask is not None and found.mask.any():
        uid, content = _segmentation(series, found, hashes)
        _save(folder / SEGMENTATION, content)
        written = dataclasses.replace(written, segmentation=folder / SEGMENTATION, segmentation_uid=uid)
    text = json.dumps(describe(analysis, hashes), indent=2, allow_nan=False)
    _save(folder / RESULT, text.encode())
    return written


def describe(analysis: analyse.Analysis, hashes: Hashes) -> dict[str, Any]:
    """Return a result as plain values for JSON: lengths in mm, positions in LPS, times in seconds."""
    found = analysis.finding
    return {
        "series_instance_uid": analysis.series_instance_uid,
        "outcome": found.outcome.value,
        "reasons": [{"code": reason.code.value, "text": reason.text} for reason in found.reasons],
        "agatston": found.agatston,
        "category": found.category,
        "cac_drs": found.cac_drs,
        "volume_mm3": found.volume_mm3,
        "mass_mg_uncalibrated": found.mass_mg,
        "lesions": [dataclasses.asdict(lesion) for lesion in found.lesions],
        "candidates": [candidate(each) for each in found.candidates],
        "seconds": round(sum(analysis.seconds.values()), 3),
        "timings": {step: round(seconds, 3) for step, seconds in analysis.seconds.items()},
        "hashes": dataclasses.asdict(hashes),
        "provider": analysis.provider,
        "profile": found.profile.value,
        "images": analysis.images,
        "notice": "research only",
    }


def candidate(each: finding.Candidate) -> dict[str, Any]:
    """Return a candidate as plain values."""
    return {
        "number": each.number,
        "centre": each.centre,
        "slice_number": each.slice_number,
        "voxels": each.voxels,
        "volume_mm3": each.volume_mm3,
        "max_hu": each.max_hu,
        "probabilities": {plane.value: value for plane, value in each.probabilities.items()},
        "status": each.status.value,
        "doubt": each.doubt.value if each.doubt else None,
        "reason": {"code": each.reason.code.value, "text": each.reason.text},
    }


def _segmentation(series: reading.LoadedSeries, found: finding.CalciumFinding, hashes: Hashes) -> tuple[str, bytes]:
    """Return the SEG's UID and bytes."""
    if found.mask is None:
        raise ValueError("A finding without a mask has no segmentation.")
    mask = reading.to_source(series, found.mask[list(found.slab_of)])
    source = series.sources[0]
    names = (str(source.SeriesInstanceUID), hashes.content, hashes.models)
    identity = segmentation.Identity(
        series_uid=segmentation.result_uid("series", *names),
        sop_uid=segmentation.result_uid("segmentation", *names),
        created=segmentation.acquired_at(source),
        models_hash=hashes.models,
    )
    built = segmentation.build(series.sources, mask, identity)
    buffer = io.BytesIO()
    built.save_as(buffer, enforce_file_format=True)
    return identity.sop_uid, buffer.getvalue()


def _save(path: pathlib.Path, content: bytes) -> None:
    """Write under a temporary name, sync, rename, sync the folder."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(path)
        finally:
            temporary.unlink(missing_ok=True)
        for folder in (path.parent, path.parent.parent):
            with _opened(folder) as descriptor:
                os.fsync(descriptor)
    except OSError as exc:
        raise errors.StorageError(f"A result cannot be written: {exc.strerror}.") from exc


@contextlib.contextmanager
def _opened(folder: pathlib.Path) -> Any:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
