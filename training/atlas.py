"""Derive one heart's anatomy from the meshes of the Human Reference Atlas (HuBMAP, CC BY 4.0), for phantoms to use.

    python -m training.atlas /data/hra_male training/config/anatomy/hra_male.json

The folder holds VH_M_Heart.glb and VH_M_Blood_Vasculature_Heart.glb: metres, x to the left, y up, z to the front.
"""

import argparse
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy import ndimage, spatial
from sklearn import mixture

from cac.phantom import anatomy, heart, population, shapes
from training import tubes

Points = NDArray[np.float64]
Lump = Mapping[str, Points]
"""An ellipsoid: centre, radii, axis, hint, as `anatomy.Lump` has them."""

STEP_MM = 2.0
CHAMBERS: Mapping[str, tuple[tuple[str, ...], int, float]] = {
    "lv": (("heart_left_ventricle", "interventricular_septum"), 2, 10.0),
    "rv": (("heart_right_ventricle",), 5, 3.5),
    "ra": (("right_cardiac_atrium",), 2, 3.0),
    "la": (("left_cardiac_atrium",), 3, 3.0),
}
"""Chamber: its meshes, how many ellipsoids make it, its wall in mm. An earlier one keeps what a later one overlaps."""
NOTCH_MM = 8.0
"""The left main keeps this far from the left atrium."""
DEEP_MM = 14.0
"""What lies deeper than this in the heart is filled."""
OVERLAP_MM = 3.0
"""How far that filling reaches into the chambers' walls."""
SOLID_MM = 60.0
"""A wall that leaves no cavity."""
VEINS: Mapping[str, str] = {
    "vein_ru": "pulmonary_vein_R_sup",
    "vein_rl": "pulmonary_vein_R_inf",
    "vein_lu": "pulmonary_vein_L_sup",
    "vein_ll": "pulmonary_vein_L_inf",
}
# The atlas has no mesh called circumflex: what leaves the left main to the back is called a diagonal branch there.
ARTERIES: Mapping[str, str] = {
    "lm": "left_coronary_artery",
    "lad": "left_anterior_descending_artery",
    "lcx": "diagonal_branch_of_left_anterior_descending_artery",
    "rca": "right_coronary_artery",
    "pda": "right_posterior_descending_artery",
    "diagonal": "diagonal_branch_of_anterior_descending_branch_of_left_coronary_artery",
    "marginal": "left_marginal_branch",
}
SOURCE = (
    "Derived from the HuBMAP Human Reference Atlas 3D Reference Object Library, VH_Male (Browne K, Schlehlein H, "
    "Herr BW II, Quardokus E, Bueckle A, Borner K), CC BY 4.0; simplified to ellipsoids and lines, and scaled"
)


def load(path: Path) -> Mapping[str, trimesh.Trimesh]:
    """Return a file's meshes in mm, x to the left, y to the back, z to the head."""
    scene = trimesh.load(path)
    meshes = {}
    for node in scene.graph.nodes_geometry:
        transform, name = scene.graph[node]
        mesh = scene.geometry[name].copy()
        mesh.apply_transform(transform)
        mesh.vertices = mesh.vertices[:, [0, 2, 1]] * (1000.0, -1000.0, 1000.0)
        mesh.merge_vertices()
        meshes[node.removeprefix("VH_M_")] = mesh
    return meshes


def solids(meshes: Mapping[str, trimesh.Trimesh]) -> tuple[Mapping[str, NDArray[np.bool_]], Points]:
    """Fill the chambers: the meshes are walls with openings for the valves, so their hulls, each without the former."""
    hulls = {
        name: trimesh.util.concatenate([meshes[n] for n in parts]).convex_hull
        for name, (parts, _, _) in CHAMBERS.items()
    }
    first = np.min([hull.bounds[0] for hull in hulls.values()], axis=0) - 6
    last = np.max([hull.bounds[1] for hull in hulls.values()], axis=0) + 6
    axes = [np.arange(a, b, STEP_MM) for a, b in zip(first, last, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).astype(np.float32)
    taken = np.zeros(points.shape[:3], bool)
    found = {}
    for name, hull in hulls.items():
        inside = np.ones(taken.shape, bool)
        for plane in spatial.ConvexHull(hull.vertices).equations.astype(np.float32):
            inside &= points @ plane[:3] <= -plane[3]
        found[name] = inside & ~taken
        taken |= inside
    return found, first


def drawn(fitted: Sequence[Lump], size: Sequence[int], first: Points) -> NDArray[np.bool_]:
    """Return the voxels inside some ellipsoids."""
    x, y, z = (f + np.arange(n, dtype=np.float32) * STEP_MM for f, n in zip(first, size, strict=True))
    walls = [shapes.ellipsoid(f["centre"], f["radii"], shapes.frame(f["axis"], f["hint"])) for f in fitted]
    joined = shapes.union(walls, blend=heart.BLEND_MM)
    return joined(*(v.astype(np.float32) for v in (x[:, None, None], y[None, :, None], z[None, None, :]))) < 0


def core(masks: Mapping[str, NDArray[np.bool_]], first: Points) -> list[Lump]:
    """Fill the heart's depth, where the ellipsoids of its chambers leave gaps: muscle and valves, no fat."""
    whole = np.any(list(masks.values()), axis=0)
    deep = lumps(ndimage.distance_transform_edt(whole) * STEP_MM > DEEP_MM, first, 4)
    return [{**lump, "radii": lump["radii"] + OVERLAP_MM} for lump in deep]


def lumps(mask: NDArray[np.bool_], first: Points, count: int) -> list[Lump]:
    """Fit a few ellipsoids to a solid: as a mixture of normals has them, then grown to cover it best."""
    points = first + np.argwhere(mask) * STEP_MM
    mixed = mixture.GaussianMixture(count, random_state=0).fit(points[:: max(len(points) // 20_000, 1)])
    centres, best, score = mixed.means_, [], -1.0
    for factor in np.linspace(1.8, 2.6, 9):
        found = []
        for centre, covariance in zip(centres, mixed.covariances_, strict=True):
            values, vectors = np.linalg.eigh(covariance)
            radii = factor * np.sqrt(values[::-1])
            found.append({"centre": centre, "radii": radii, "axis": vectors[:, 2], "hint": vectors[:, 1]})
        inside = drawn(found, mask.shape, first)
        dice = 2 * (inside & mask).sum() / (inside.sum() + mask.sum())
        if dice > score:
            best, score = found, dice
    print(f"  {count} ellipsoids, Dice {score:.3f}, {mask.sum() * STEP_MM**3 / 1000:.0f} ml")
    return best


def vessels(
    chambers: Mapping[str, trimesh.Trimesh], blood: Mapping[str, trimesh.Trimesh]
) -> Mapping[str, tuple[Points, float]]:
    """Trace the great vessels from the heart outwards, as `Anatomy.vessels` wants them."""
    valve = chambers["aortic_valve"].bounds.mean(axis=0)
    ascending, wide = tubes.straight(blood["ascending_aorta"], np.array([-0.1, 0.0, 1.0]), 4)
    arch = tubes.line([blood["aortic_arch"]], ascending[-1], 14.0, 10.0)[0]
    rest = arch[arch[:, 2] > ascending[-1, 2] + 5]
    aorta = np.vstack([valve - (ascending[1] - valve) * 0.4, valve, ascending[1:], rest])
    aorta[:, 2] = np.maximum.accumulate(aorta[:, 2]) + np.arange(len(aorta)) * 0.1
    outlet = chambers["pulmonary_valve"].bounds.mean(axis=0)
    trunk, thick = tubes.straight(blood["pulmonary_trunk"], np.array([0.2, 1.0, 0.7]), 3)
    fork = trunk[-1]
    right, r = tubes.straight(blood["pulmonary_artery_R"], np.array([-1.0, 0.2, 0.0]), 3)
    left, s = tubes.straight(blood["pulmonary_artery_L"], np.array([0.7, 0.7, -0.2]), 3)
    upper, t = tubes.straight(blood["superior_vena_cava"], np.array([0.0, 0.0, 1.0]), 4)
    lower, u = tubes.straight(blood["inferior_vena_cava_a"], np.array([0.0, 0.0, -1.0]), 3)
    abdomen = tubes.straight(blood["inferior_vena_cava_b"], np.array([0.0, 0.0, -1.0]), 12)[0][:3]
    found = {
        "aorta": (aorta, wide),
        "pulmonary": (np.vstack([outlet, trunk]), thick),
        "right_pulmonary": (np.vstack([fork, right, right[-1] + (-25, 4, -6)]), r),
        "left_pulmonary": (np.vstack([fork, left]), s),
        "svc": (np.vstack([upper, upper[-1] + (0, -2, 40)]), t),
        "ivc": (np.vstack([lower, abdomen]), u),
    }
    for name, part in VEINS.items():
        middle = blood[part].centroid
        out = middle - chambers["left_cardiac_atrium"].convex_hull.centroid
        points, radius = tubes.straight(blood[part], out, 2)
        found[name] = np.vstack([points, points[-1] + out / np.linalg.norm(out) * 18]), min(radius, 6.5)
    return found


def mitral(meshes: Mapping[str, trimesh.Trimesh]) -> anatomy.Ring:
    """Read the annulus off the valve: its rim towards the atrium."""
    surface = trimesh.sample.sample_surface(meshes["mitral_valve"], 4000, seed=1)[0]
    normal = meshes["heart_left_ventricle"].convex_hull.centroid - meshes["left_cardiac_atrium"].convex_hull.centroid
    normal /= np.linalg.norm(normal)
    deep = surface @ normal
    centre = surface[deep < np.quantile(deep, 0.3)].mean(axis=0)
    centre += surface.mean(axis=0) - centre - normal * ((surface.mean(axis=0) - centre) @ normal)
    along = np.array([0.0, 1.0, 0.0]) - normal * normal[1]
    along /= np.linalg.norm(along)
    across = np.cross(along, normal)
    across *= np.sign(across[0])
    reach = [float(np.quantile(np.abs((surface - centre) @ way), 0.9)) for way in (across, along)]
    return anatomy.Ring(centre=centre, across=across * reach[0], along=along * reach[1], normal=normal)


def courses(blood: Mapping[str, trimesh.Trimesh], root: Points) -> Mapping[str, Points]:
    """Trace the coronary arteries from the ostium outwards; LAD and LCX start where the left main ends."""
    found = {
        name: tubes.line([blood[part]], root, 3.0, 10.0 if name != "lm" else 5.0)[0] for name, part in ARTERIES.items()
    }
    fork = found["lm"][-1:]
    return {**found, "lad": np.vstack([fork, found["lad"][1:]]), "lcx": np.vstack([fork, found["lcx"][1:]])}


def spared(atrium: NDArray[np.bool_], first: Points, tree: Mapping[str, Points]) -> NDArray[np.bool_]:
    """Clear a way for the left main: the atrium's hull bridges the notch behind its appendage, where that runs."""
    line = np.vstack([tree["lm"], tree["lcx"][:2], tree["lad"][:2]])
    near = np.zeros(atrium.shape, bool)
    near[atrium] = spatial.cKDTree(line).query(first + np.argwhere(atrium) * STEP_MM)[0] < NOTCH_MM
    return atrium & ~near


class Frame:
    """Carry positions of the atlas to those of phantoms: the same size and middle as the standard heart's."""

    def __init__(self, mask: NDArray[np.bool_], first: Points) -> None:
        """Measure the atlas's heart by its solid, and the standard one likewise."""
        plain = population.Population(scale=(1, 1), turn=(0, 0), shape=0)
        axis = np.arange(-100.0, 100.0, STEP_MM, dtype=np.float32)
        walls = heart.build(np.random.default_rng(0), plain).chambers.values()
        usual = shapes.union(list(walls))(axis[:, None, None], axis[None, :, None], axis[None, None, :]) < 0
        self.scale = float(np.cbrt(usual.sum() / mask.sum()))
        self.from_middle, self.to_middle = _middle(mask, first), _middle(usual, axis[:1].repeat(3))

    def __call__(self, points: Points) -> list[Any]:
        """Return positions (..., 3) as lists of mm to a tenth."""
        moved = (np.asarray(points) - self.from_middle) * self.scale + self.to_middle
        return np.asarray(np.round(moved, 1)).tolist()

    def lump(self, lump: Lump) -> dict[str, Any]:
        """Return an ellipsoid."""
        centre, radii = self(lump["centre"]), self.length(lump["radii"] * self.scale)
        return {"centre": centre, "radii": radii, "axis": self.length(lump["axis"]), "hint": self.length(lump["hint"])}

    def length(self, mm: Points | float) -> Any:
        """Return lengths or directions to a thousandth."""
        return np.asarray(np.round(np.asarray(mm), 3)).tolist()


def _middle(mask: NDArray[np.bool_], first: Points) -> Points:
    found = np.argwhere(mask)
    return np.asarray(first + (found.min(axis=0) + found.max(axis=0)) / 2 * STEP_MM)


def derive(chambers: Mapping[str, trimesh.Trimesh], blood: Mapping[str, trimesh.Trimesh]) -> dict[str, Any]:
    """Return the anatomy as `anatomy.read` takes it."""
    valve = chambers["aortic_valve"].bounds.mean(axis=0)
    tree = courses(blood, valve)
    masks, first = solids(chambers)
    masks = {**masks, "la": spared(masks["la"], first, tree)}
    place = Frame(np.any(list(masks.values()), axis=0), first)
    fitted = {name: lumps(mask, first, CHAMBERS[name][1]) for name, mask in masks.items()}
    fitted["core"] = core(masks, first)
    walls = {**{name: wall for name, (_, _, wall) in CHAMBERS.items()}, "core": SOLID_MM}
    parts = {name: {"lumps": [place.lump(x) for x in found], "wall": walls[name]} for name, found in fitted.items()}
    trunks = vessels(chambers, blood)
    ring = mitral(chambers)
    right = chambers["heart_right_ventricle"].vertices
    tip = right[np.argmax(right @ np.array([0.72, -0.48, -0.50]))]
    way = [trunks["svc"][0][-1], trunks["svc"][0][0], chambers["right_cardiac_atrium"].convex_hull.centroid]
    way += [chambers["tricuspid_valve"].centroid, tip + 0.15 * (right.mean(axis=0) - tip)]
    usual = anatomy.STANDARD
    return {
        "source": SOURCE,
        "chambers": parts,
        "vessels": {
            name: {"points": place(points), "radius": place.length(radius * place.scale)}
            for name, (points, radius) in trunks.items()
        },
        "courses": {
            name: {"points": place(points), "walls": (), "radii": usual.courses[name].radii}
            for name, points in tree.items()
        },
        "belly": dataclasses.asdict(usual.belly),
        "aortic_valve": place(valve),
        "mitral": {
            "centre": place(np.asarray(ring.centre)),
            "across": place.length(np.asarray(ring.across) * place.scale),
            "along": place.length(np.asarray(ring.along) * place.scale),
            "normal": place.length(np.asarray(ring.normal)),
        },
        "lead": place(np.array(way)),
        "box": usual.box,
    }


def main() -> None:
    """Read the meshes, write the anatomy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("meshes", type=Path, help="folder with the atlas's .glb files")
    parser.add_argument("target", type=Path, help="the JSON to write")
    options = parser.parse_args()
    found = derive(load(options.meshes / "VH_M_Heart.glb"), load(options.meshes / "VH_M_Blood_Vasculature_Heart.glb"))
    text = json.dumps(found, indent=1)
    anatomy.read(text)
    options.target.write_text(text + "\n")


if __name__ == "__main__":
    main()
