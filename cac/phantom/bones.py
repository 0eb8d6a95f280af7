"""Ribs, sternum, spine, and the vessels and gullet that lie on the spine."""

import numpy as np

from cac.phantom import canvas, heart, shapes, thorax

VERTEBRA_STEP = 24.0


def paint(chest: thorax.Chest, target: canvas.Canvas) -> None:
    """Paint all bones: cortex first, marrow into it."""
    hard, soft = 620.0 * chest.bone, 215.0 * chest.bone
    for shrunk, bone, cartilage in ((0.0, hard, 105.0), (1.6, soft, 85.0)):
        target.paint(_ribs(chest, 5.2 - shrunk, costal=False), bone)
        target.paint(shapes.grow(gristle(chest), -shrunk), cartilage)
        target.paint(shapes.grow(sternum(chest), -shrunk), bone)
    _spine(chest, target, hard, soft)


def gristle(chest: thorax.Chest) -> shapes.Shape:
    """Return the costal cartilages."""
    return _ribs(chest, 5.6, costal=True)


def sternum(chest: thorax.Chest) -> shapes.Shape:
    """Return the breastbone, which ends at the xiphoid."""
    return shapes.block((thorax.MIDLINE, chest.front - 3.0, 70.0), (16.0, 5.5, 105.0), rounding=5.0)


def rib_angle(x: shapes.Array, y: shapes.Array, chest: thorax.Chest) -> shapes.Array:
    """Return where along the cage a point lies: 0 at the back, pi at the front, in radians."""
    across = np.abs(x - thorax.MIDLINE) / np.float32(chest.wide)
    return np.asarray(np.arctan2(across, (y - chest.middle) / np.float32(chest.deep)), np.float32)


def rib_height(angle: float, level: int, chest: thorax.Chest) -> float:
    """Return the height in mm of one rib's centre at an angle along the cage."""
    return (level + chest.rib_phase) * chest.rib_step - 34.0 * (angle - 1.2)


def _ribs(chest: thorax.Chest, radius: float, costal: bool) -> shapes.Shape:
    def inside(x: shapes.Array, y: shapes.Array, z: shapes.Array) -> shapes.Array:
        angle = rib_angle(x, y, chest)
        depth = thorax.cage(chest)(x, y, z) - np.float32(radius * 0.4 + 3.2)
        turn = (z + 34.0 * (angle - 1.2)) / np.float32(chest.rib_step) - np.float32(chest.rib_phase)
        height = (turn - np.round(turn)) * np.float32(chest.rib_step * 0.86)
        body = np.sqrt((depth * 1.35) ** 2 + height**2) - np.float32(radius)
        reach = (angle - np.float32(2.5)) * 80
        limit = -reach if costal else np.maximum(reach, (np.float32(0.2) - angle) * 80)
        return np.asarray(np.maximum(body, limit), np.float32)

    return inside


def _spine(chest: thorax.Chest, target: canvas.Canvas, hard: float, soft: float) -> None:
    mid, back = thorax.MIDLINE, thorax.VERTEBRA_Y
    box = ((mid - 60, back - 30, -1e4), (mid + 60, back + 75, 1e4))
    canal = shapes.ellipsoid((mid, back + 24, 0), (9.5, 8.5, 1e5))
    arch = shapes.ellipsoid((mid, back + 24, 0), (15, 14, 1e5))
    for shrunk, bone in ((0.0, hard * 0.8), (1.5, soft)):
        target.paint(shapes.grow(_vertebrae(chest), -shrunk), bone, box)
        target.paint(shapes.grow(arch, -shrunk * 1.2), bone * 1.2, box)
        spinous = _segments(chest, shapes.block((mid, back + 46, 0), (3.2, 14, 1e4)), 8.0)
        across = _segments(chest, shapes.block((mid, back + 24, 0), (34, 5, 1e4)), 6.0)
        target.paint(shapes.grow(shapes.union([spinous, across], blend=3), -shrunk), bone, box)
    target.paint(shapes.grow(canal, 1.2), hard, box)
    target.paint(canal, 15.0, box)
    target.paint(shapes.ellipsoid((mid, back + 24, 0), (5.0, 4.2, 1e5)), 38.0, box)


def _vertebrae(chest: thorax.Chest) -> shapes.Shape:
    column = shapes.ellipsoid((thorax.MIDLINE, thorax.VERTEBRA_Y, 0), (17.5, 15.5, 1e5))
    return _segments(chest, column, VERTEBRA_STEP / 2 - 2.2)


def _segments(chest: thorax.Chest, shape: shapes.Shape, half: float) -> shapes.Shape:
    def inside(x: shapes.Array, y: shapes.Array, z: shapes.Array) -> shapes.Array:
        turn = z / np.float32(VERTEBRA_STEP) - np.float32(chest.rib_phase)
        height = np.abs(turn - np.round(turn)) * np.float32(VERTEBRA_STEP) - np.float32(half)
        return np.asarray(np.maximum(shape(x, y, z), height), np.float32)

    return inside


def paint_prevertebral(chest: thorax.Chest, target: canvas.Canvas, blood: float) -> None:
    """Paint discs' bed, descending aorta and gullet."""
    aorta = descending_aorta()
    target.paint(shapes.ellipsoid((thorax.MIDLINE, thorax.VERTEBRA_Y, 0), (17.5, 15.5, 1e5)), 85.0)
    target.paint(shapes.grow(aorta, 1.0), heart.MUSCLE_HU)
    target.paint(aorta, blood)
    gullet = shapes.ellipsoid((-2, 54, 0), (8.5, 5.0, 1e5))
    target.paint(gullet, 38.0)
    target.paint(shapes.ellipsoid((-1, 53.5, 0), (2.5, 1.2, 1e5)), -300.0)


def descending_aorta() -> shapes.Shape:
    """Return the descending aorta, left in front of the spine."""
    return shapes.tube([(17, 64, 100), (17, 65, 20), (8, 64, -140)], 12.0)


def parting(chest: thorax.Chest) -> shapes.Shape:
    """Return what parts the lungs besides the heart: spine, aorta, gullet, and fat behind the breastbone."""
    spine = shapes.ellipsoid((thorax.MIDLINE, thorax.VERTEBRA_Y + 16, 0), (26, 30, 1e5))
    front = shapes.block((thorax.MIDLINE + 6, chest.front + 8, 0), (15, 14, 1e4), rounding=8)
    deep = shapes.block((thorax.MIDLINE + 4, 30, 60), (14, 34, 70), rounding=10)
    pads = [
        shapes.ellipsoid((-40, -40, -40), (26, 26, 20)),
        shapes.ellipsoid((52, -44, -44), (26, 22, 20)),
    ]
    gullet = shapes.ellipsoid((-2, 52, 0), (12, 10, 1e5))
    return shapes.union([spine, shapes.grow(descending_aorta(), 2.5), gullet, front, deep, *pads], blend=8.0)
