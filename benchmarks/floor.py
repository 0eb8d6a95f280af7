"""What this machine can do at best: the numbers that docs/PERFORMANCE.md sets the node's own times beside.

`python -m benchmarks.floor [FOLDER]` measures the disk of FOLDER (the working folder by default).
"""

import hashlib
import os
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence

import numpy as np

BLOCK = 525_000
"""Bytes of one CT image of 512 x 512 at 16 bits, with its header."""
IMAGES = 100
MIB = 1 << 20


def _best(work: Callable[[], object], times: int = 5) -> float:
    """Return the shortest of some runs, in seconds: a floor, not a habit."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _synced(folder: pathlib.Path) -> tuple[float, float]:
    """Write images, each synced with its folder; return images/s and the median of one sync in ms."""
    body = os.urandom(BLOCK)
    descriptor = os.open(folder, os.O_RDONLY)
    syncs = []
    start = time.perf_counter()
    for number in range(IMAGES):
        with (folder / str(number)).open("xb") as file:
            file.write(body)
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
        os.fsync(descriptor)
        syncs.append(time.perf_counter() - began)
    os.close(descriptor)
    return IMAGES / (time.perf_counter() - start), 1000 * statistics.median(syncs)


def rows(folder: pathlib.Path) -> Sequence[tuple[str, str]]:
    """Measure everything; what and how much."""
    body = os.urandom(IMAGES * BLOCK)
    hashing = len(body) / MIB / _best(lambda: hashlib.sha256(body).digest())
    hu = np.ones((100, 512, 512), np.float32)  # zeros would all be one page
    reading = hu.nbytes / 1e9 / _best(hu.max)
    side = np.ones((1500, 1500), np.float32)
    product = 1500**3 / 1e9 / _best(lambda: side @ side)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        images, sync = _synced(pathlib.Path(name))
    return (
        ("images of 525 kB written, file and folder synced one by one", f"{images:.0f} images/s"),
        ("the two syncs of one image, median", f"{sync:.2f} ms"),
        ("SHA-256, one core", f"{hashing:.0f} MiB/s"),
        ("a volume of 100 MiB read once, one core", f"{reading:.1f} GB/s"),
        ("multiply-adds in float32, all cores (matrix product)", f"{product:.0f} thousand million/s"),
    )


def main() -> int:
    """Print the table."""
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path.cwd()
    print("| what | at best |\n|---|---|")
    for what, much in rows(folder):
        print(f"| {what} | {much} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
