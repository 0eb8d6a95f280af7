"""Labelled scans to judge or tune on: named sets of phantoms, copies of a real background, stored data sets.

Seeds of phantoms: 10 000-19 999 internal and 20 000-29 999 external are held out for judging, 40 000 and up are copies
of a background for judging; 2 000 000 and up validate and tune; training takes 1 000 000 and up, the
ablation 700 000-799 999, and 0-999 are free.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from cac.phantom import backgrounds, population, scan
from training import cases, labelled
from triage.dicom import reading


class Task(Protocol):
    """Name a scan that a job is to make or read; `set_name` and `name` together are its own."""

    @property
    def set_name(self) -> str:
        """Return the set it belongs to."""
        ...

    @property
    def name(self) -> str:
        """Return the scan's name."""
        ...

    @property
    def synthetic(self) -> bool:
        """Tell whether its anatomy or its calcium is made up."""
        ...

    @property
    def may_be_positive(self) -> bool:
        """Tell whether it may hold calcium; what is not read yet may."""
        ...

    def scan(self) -> labelled.LabelledScan:
        """Make or read it; ValueError or OSError where that fails."""
        ...


Range = tuple[float, float]
GROUPS: Mapping[str, Range] = {
    "0": (0, 0),
    "10-20": (10, 20),
    "1-10": (1, 10),
    "20-100": (20, 100),
    "> 100": (100, 1000),
}
"""Agatston scores of a set's groups; the first two are the paper's."""
FIRST: Mapping[str, int] = {"internal": 10_000, "external": 20_000, "validation": 2_000_000}
STYLES: Mapping[str, scan.Style] = {
    "internal": scan.Style(people=population.BROAD),
    "external": scan.Style(people=population.EXTERNAL),
    "validation": scan.Style(people=population.BROAD),
}
"""Who is scanned in a set, and how; 'external' is another scanner and anatomy range, and thresholds are tuned on the
widest one."""
HELD_OUT = ("internal", "external")
COPIES_FIRST = {"held out": 40_000, "validation": 2_900_000}
RESERVED = (range(10_000, 50_000), range(2_000_000, 3_000_001))
"""Seeds that judge, validate and tune, and the worker's self-test: never to train on."""
INCREMENTS = (1.5, 3.0)
TRIES = 10
PART_OF_A_GROUP = 1000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phantom:
    """Name one phantom of a set: scored within `wanted`, with 0-10 mimics; `style` None is the set's own."""

    set_name: str
    seed: int
    wanted: Range
    increment: float
    style: scan.Style | None = None

    @property
    def name(self) -> str:
        """Return the phantom's name."""
        return f"{self.set_name}-{self.seed}"

    @property
    def synthetic(self) -> bool:
        """Say that it is."""
        return True

    @property
    def may_be_positive(self) -> bool:
        """Tell whether calcium is asked for."""
        return self.wanted[1] > 0

    def scan(self) -> labelled.LabelledScan:
        """Make it; the next seeds are tried until the score, which no plaque meets exactly, lies in the range."""
        low, high = self.wanted
        for seed in range(self.seed, self.seed + TRIES):
            random = np.random.default_rng([seed, 7])
            agatston = float(np.exp(random.uniform(np.log(1.05 * low), np.log(0.95 * high)))) if high else 0.0
            style = self.style or STYLES[self.set_name]
            made = scan.make(agatston=agatston, seed=seed, increment=self.increment, style=style)
            if low <= made.agatston <= high:
                return from_phantom(made, self.name, cases.PHANTOMS, named=True)
        raise ValueError(f"{self.name}: no phantom scores {low:g}-{high:g} in {TRIES} tries")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Copy:
    """Name one copy of a real calcium-free series (DICOM) with plaques of Agatston 5-20; copy 0 has none."""

    set_name: str
    series: pathlib.Path
    courses: pathlib.Path
    seed: int
    number: int

    @property
    def name(self) -> str:
        """Return the copy's name."""
        return f"{self.series.name}-{self.seed}-{self.number}"

    @property
    def synthetic(self) -> bool:
        """Say that its plaques are."""
        return True

    @property
    def may_be_positive(self) -> bool:
        """Tell whether it has plaques."""
        return self.number > 0

    def scan(self) -> labelled.LabelledScan:
        """Draw it."""
        random = np.random.default_rng([self.seed, self.number])
        wanted = float(random.uniform(5, 20)) if self.number else 0.0
        made = backgrounds.draw(_background(self.series, self.courses), wanted, random)
        return from_phantom(made, self.name, f"synthetic plaques in {self.series.name}", named=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stored:
    """Name one scan of a data set."""

    set_name: str
    folder: pathlib.Path
    synthetic: bool

    @property
    def name(self) -> str:
        """Return the scan's name."""
        return self.folder.name

    @property
    def may_be_positive(self) -> bool:
        """Say that it may: its truth is not read yet."""
        return True

    def scan(self) -> labelled.LabelledScan:
        """Read it."""
        return labelled.load(self.folder)


def phantoms(set_name: str, each: int, zeros: int = 0) -> list[Phantom]:
    """List `each` phantoms a group, and `zeros` without calcium where those are more.

    Fewer are the first of more, and increments come in turn. ValueError for none, or more than a group
    has seeds for.
    """
    if each < 1 or zeros < 0:
        raise ValueError("A group has one phantom or more.")
    zeros = max(each, zeros)
    if zeros > PART_OF_A_GROUP // TRIES:
        raise ValueError(f"A group has at most {PART_OF_A_GROUP // TRIES} phantoms.")
    return [
        Phantom(
            set_name=set_name,
            seed=FIRST[set_name] + PART_OF_A_GROUP * place + TRIES * number,
            wanted=wanted,
            increment=INCREMENTS[number % len(INCREMENTS)],
        )
        for number in range(zeros)
        for place, wanted in enumerate(GROUPS.values())
        if number < (each if wanted[1] else zeros)
    ]


def copies(series: pathlib.Path, courses: pathlib.Path, count: int, block: str) -> list[Copy]:
    """List the series as it is and `count` copies with plaques; `block` is 'held out' or 'validation'."""
    first = COPIES_FIRST[block]
    return [
        Copy(set_name="background", series=series, courses=courses, seed=first, number=number)
        for number in range(count + 1)
    ]


def dataset(folder: pathlib.Path, split: str) -> list[Stored]:
    """List the finished scans of FOLDER/SPLIT; ValueError where there are none."""
    found = labelled.stored(folder / split)
    if not found:
        raise ValueError(f"{folder / split} holds no labelled scan")
    return [
        Stored(set_name=f"{folder.resolve().name}/{split}", folder=each, synthetic="synthetic" in labelled.source(each))
        for each in found
    ]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Asked:
    """Hold what a person asked for: a part of a data set, sets of phantoms, copies of a background, or all of them."""

    dataset: pathlib.Path | None = None
    split: str = "test"
    phantoms: tuple[str, ...] = ()
    each: int = 50
    zeros: int = 0
    background: tuple[pathlib.Path, pathlib.Path] | None = None
    copies: int = 40

    def tasks(self, block: str) -> list[Task]:
        """List the scans; `block` names the copies' seeds. ValueError where nothing is asked for."""
        wanted: list[Sequence[Task]] = [phantoms(name, self.each, self.zeros) for name in self.phantoms]
        if self.background:
            wanted.append(copies(*self.background, self.copies, block))
        if self.dataset:
            wanted.append(dataset(self.dataset, self.split))
        if not wanted:
            raise ValueError("Name what to run on: --dataset, --phantoms or --background.")
        return mixed(wanted)


def mixed(sets: Sequence[Sequence[Task]]) -> list[Task]:
    """Order several sets' scans so that what a stopped run leaves is a little of each."""
    longest = max((len(each) for each in sets), default=0)
    return [each[place] for place in range(longest) for each in sets if place < len(each)]


def from_phantom(made: scan.Phantom, name: str, source: str, *, named: bool) -> labelled.LabelledScan:
    """Give a phantom the form of every labelled scan; `named` says that its hard negatives are."""
    return labelled.LabelledScan(
        name=name,
        patient=name,
        source=source,
        volume=made.volume,
        truth=made.owners,
        origins=made.origins if named else None,
        classes=scan.CLASSES if named else (),
    )


@functools.lru_cache(maxsize=1)
def _background(series: pathlib.Path, courses: pathlib.Path) -> backgrounds.Background:
    read = reading.load_series(reading.read_headers(sorted(series.glob("*.dcm")))).volume
    nowhere = np.zeros(read.hu.shape, dtype=bool)
    return backgrounds.Background(scan=read, heart=nowhere, courses=backgrounds.courses(courses.read_text()))
