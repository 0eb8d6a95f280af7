"""Centre lines of tube-shaped surface meshes: thin and winding, or short and thick."""

from collections.abc import Sequence

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy import ndimage, sparse, spatial

Points = NDArray[np.float64]


def line(meshes: Sequence[trimesh.Trimesh], start: Points, reach: float, step: float) -> tuple[Points, float]:
    """Return a tube's centre line, from its end near `start` on, and its mean radius in mm.

    The longest shortest path over its surface, moved to the mean of the surface within `reach` mm.
    """
    surface = np.vstack([trimesh.sample.sample_surface(mesh, 3000, seed=1)[0] for mesh in meshes])
    tree = spatial.cKDTree(surface)
    graph = tree.sparse_distance_matrix(tree, min(reach, 4.0)).tocsr()
    graph.data **= 2  # Short steps: the path follows the tube, and gaps between its pieces are crossed once.
    whole = sparse.csgraph.connected_components(graph)[1]
    main = np.flatnonzero(whole == np.bincount(whole).argmax())
    reached = sparse.csgraph.dijkstra(graph, indices=main[0])
    far = int(np.argmax(np.where(np.isfinite(reached), reached, -1)))
    reached, before = sparse.csgraph.dijkstra(graph, indices=far, return_predecessors=True)
    at = int(np.argmax(np.where(np.isfinite(reached), reached, -1)))
    path = [at]
    while path[-1] != far:
        path.append(int(before[path[-1]]))
    middle = np.array([surface[tree.query_ball_point(surface[i], reach)].mean(axis=0) for i in path])
    middle = ndimage.gaussian_filter1d(middle, 4, axis=0, mode="nearest")
    if np.linalg.norm(middle[0] - start) > np.linalg.norm(middle[-1] - start):
        middle = middle[::-1]
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(middle, axis=0), axis=1))])
    places = np.linspace(0, along[-1], max(int(along[-1] / step), 2) + 1)
    thin = np.stack([np.interp(places, along, middle[:, i]) for i in range(3)], axis=1)
    return thin, float(spatial.cKDTree(middle).query(surface)[0].mean())


def straight(mesh: trimesh.Trimesh, away: Points, pieces: int) -> tuple[Points, float]:
    """Return the centre line of a short, thick tube that leads in direction `away`, and its radius in mm."""
    surface = trimesh.sample.sample_surface(mesh, 4000, seed=1)[0]
    along = surface @ (away / np.linalg.norm(away))
    bins = np.array_split(np.argsort(along), pieces)
    middle = np.array([surface[part].mean(axis=0) for part in bins])
    way = away / np.linalg.norm(away)
    spread = [np.linalg.norm(np.cross(surface[p] - m, way), axis=1) for p, m in zip(bins, middle, strict=True)]
    return middle, float(np.median(np.concatenate(spread)))
