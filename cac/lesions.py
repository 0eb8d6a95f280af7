"""The lesion list: each accepted lesion with its place and its scores."""

from cac import agatston, components, finding, volume


def measure(scan: volume.Volume, found: components.Components) -> tuple[finding.Lesion, ...]:
    """Measure each lesion: 26-connected accepted voxels."""
    hu = scan.hu.reshape(-1)[found.voxels]
    score = agatston.each(scan, found)
    slices = found.extents()[:, 0].tolist()
    peaks = found.maxima(hu).tolist()
    totals = found.totals(hu).tolist()
    return tuple(
        finding.Lesion(
            number=number + 1,
            centre=(x, y, z),
            slices=slices[number],
            max_hu=peaks[number],
            agatston=float(score[number]),
            volume_mm3=int(found.sizes[number]) * scan.voxel_mm3,
            mass_mg=agatston.mass(totals[number], scan.voxel_mm3),
        )
        for number, (x, y, z) in enumerate(found.centres(scan).tolist())
    )
