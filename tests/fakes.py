"""Small real stand-ins for the nets."""

import numpy as np

from cac import candidates, finding, heart, sheets, slabs, views, volume

LEVELS = {plane: finding.Levels(low=0.2, high=0.8) for plane in finding.Plane}
SPEC = finding.NetSpec(levels=LEVELS, joint=finding.Joint(accept=0.5, other=0.5, speck=0.5))


class Constant:
    """Answer every pixel with one probability, and count the images asked for and the pixels seen."""

    def __init__(self, value: float) -> None:
        self.value = value
        self.asked = dict.fromkeys(finding.Plane, 0)
        self.pixels = 0

    def __call__(self, plane: finding.Plane, stack: volume.FloatArray, core: finding.Core) -> volume.FloatArray:
        self.asked[plane] += len(stack)
        self.pixels += stack[:, 0].size
        return np.full(answered(stack, core).shape, self.value, dtype=np.float32)


def answered(stack: volume.FloatArray, core: finding.Core) -> volume.FloatArray:
    """Return the binary channel of what is asked about."""
    top, left, bottom, right = core
    return stack[:, 1, top:bottom, left:right]


class Oracle:
    """Know the truth of one volume: recognise its calcium by the scaled HU of a pixel and its neighbours.

    `truth` is (slice, row, column) on the volume's own grid, at increments that are not averaged to slabs.
    """

    def __init__(self, scan: volume.Volume, truth: volume.BoolArray, spec: finding.NetSpec = SPEC) -> None:
        working = slabs.prepare(scan)
        assert not working.averaged, "the truth lies on the native grid"
        located = heart.locate(scan)
        assert located is not None
        found = candidates.find(scan, located.envelope)
        box = views.enclosing(located.box, found, scan, spec)
        shown = views.crop(scan, box, spec)
        marked = volume.Volume(hu=truth.astype(np.float32), spacing=scan.spacing, thickness=scan.thickness)
        answer = np.maximum(views.crop(marked, box, spec).hu, 0) > 0
        self._known = {}
        for plane, axis in ((finding.Plane.AXIAL, 0), (finding.Plane.SAGITTAL, 2), (finding.Plane.CORONAL, 1)):
            (sheet,) = sheets.sheets(shown, plane, spec)
            stack = sheet.whole(np.arange(shown.hu.shape[axis]))
            seen = np.zeros(stack[:, 1].shape, dtype=bool)
            part = np.moveaxis(answer, axis, 0)
            seen[:, : part.shape[1], : part.shape[2]] = part
            self._known[plane] = np.unique(_prints(stack)[seen])

    def __call__(self, plane: finding.Plane, stack: volume.FloatArray, core: finding.Core) -> volume.FloatArray:
        top, left, bottom, right = core
        known = np.isin(_prints(stack)[:, top:bottom, left:right], self._known[plane])
        return known.astype(np.float32) * np.float32(0.97)


def _prints(stack: volume.FloatArray) -> np.ndarray:
    """Give each pixel a number that hardly any other has: its own and its neighbours' HU, each bit counting."""
    bits = np.ascontiguousarray(stack[:, 0]).view(np.uint32).astype(np.uint64)
    around = np.pad(bits, ((0, 0), (1, 1), (1, 1)))
    total = bits * np.uint64(0x9E3779B97F4A7C15)
    for number, (down, aside) in enumerate(((0, 1), (2, 1), (1, 0), (1, 2))):
        neighbour = around[:, down : down + bits.shape[1], aside : aside + bits.shape[2]]
        total += neighbour * np.uint64(0xBF58476D1CE4E5B9 + 2 * number * 0x94D049BB133111EB % 2**61)
    return total


def broken(plane: finding.Plane, stack: volume.FloatArray, core: finding.Core) -> volume.FloatArray:
    """Answer as a net whose weights are not finite."""
    return np.full(answered(stack, core).shape, np.nan, dtype=np.float32)


class Lame:
    """Have no net for one plane."""

    def __init__(self, missing: finding.Plane) -> None:
        self.missing = missing

    def __call__(self, plane: finding.Plane, stack: volume.FloatArray, core: finding.Core) -> volume.FloatArray:
        if plane is self.missing:
            msg = f"no net for the {plane} plane"
            raise LookupError(msg)
        return np.zeros(answered(stack, core).shape, dtype=np.float32)


class Stubborn:
    """Answer 0 everywhere but in one plane, which is sure of every pixel that reaches 130 HU."""

    def __init__(self, plane: finding.Plane, value: float) -> None:
        self.plane, self.value = plane, value

    def __call__(self, plane: finding.Plane, stack: volume.FloatArray, core: finding.Core) -> volume.FloatArray:
        return answered(stack, core) * np.float32(self.value if plane is self.plane else 0.0)
