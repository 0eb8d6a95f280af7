"""Small real stand-ins for the nets."""

import numpy as np

from cac import candidates, finding, heart, slabs, views, volume

LEVELS = {plane: finding.Levels(accept=0.5, low=0.2, high=0.8) for plane in finding.Plane}
SPEC = finding.NetSpec(levels=LEVELS)


class Constant:
    """Answer every pixel with one probability, and count the images asked for."""

    def __init__(self, value: float) -> None:
        self.value = value
        self.asked = dict.fromkeys(finding.Plane, 0)

    def __call__(self, plane: finding.Plane, stack: volume.FloatArray) -> volume.FloatArray:
        self.asked[plane] += len(stack)
        return np.full((stack.shape[0], *stack.shape[2:]), self.value, dtype=np.float32)


class Oracle:
    """Know the truth of one volume: recognise each image and answer where its calcium lies.

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
        answer = np.maximum(views.crop(marked, box, spec).hu, 0)
        self._known: dict[tuple[finding.Plane, bytes], volume.FloatArray] = {}
        for plane, axis in ((finding.Plane.AXIAL, 0), (finding.Plane.SAGITTAL, 2), (finding.Plane.CORONAL, 1)):
            for number in range(shown.hu.shape[axis]):
                image = views.stack_for(shown, plane, np.array([number]), spec)[0]
                seen = np.zeros(image.shape[1:], dtype=np.float32)
                part = answer.take(number, axis=axis) > 0
                seen[: part.shape[0], : part.shape[1]] = part * 0.97
                self._known[plane, image.tobytes()] = seen

    def __call__(self, plane: finding.Plane, stack: volume.FloatArray) -> volume.FloatArray:
        return np.stack([self._known[plane, image.tobytes()] for image in stack])


def broken(plane: finding.Plane, stack: volume.FloatArray) -> volume.FloatArray:
    """Answer as a net whose weights are not finite."""
    return np.full((stack.shape[0], *stack.shape[2:]), np.nan, dtype=np.float32)


class Lame:
    """Have no net for one plane."""

    def __init__(self, missing: finding.Plane) -> None:
        self.missing = missing

    def __call__(self, plane: finding.Plane, stack: volume.FloatArray) -> volume.FloatArray:
        if plane is self.missing:
            msg = f"no net for the {plane} plane"
            raise LookupError(msg)
        return np.zeros((stack.shape[0], *stack.shape[2:]), dtype=np.float32)


class Stubborn:
    """Answer 0 everywhere but in one plane, which is sure of every pixel that reaches 130 HU."""

    def __init__(self, plane: finding.Plane, value: float) -> None:
        self.plane, self.value = plane, value

    def __call__(self, plane: finding.Plane, stack: volume.FloatArray) -> volume.FloatArray:
        return stack[:, 1] * np.float32(self.value if plane is self.plane else 0.0)
