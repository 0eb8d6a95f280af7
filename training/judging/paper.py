"""The paper's Tables 1 to 4 for our own sets and ways of judging, with its own rows beside them."""

from collections.abc import Sequence

from training.judging import published, rows, tables
from training.judging import statistics as figures

PROTOCOL = ("0", "10-20")
"""The paper's scans: without calcium, and with an Agatston score of 10-20."""
NOT_EXCLUDED = (
    "Excluded is what is called absent: unsuitable and indeterminate are not, and count as predicted positive."
)
INTERVALS = f"In brackets 95 % intervals: of {figures.RESAMPLES} bootstrap samples, and exact (Clopper-Pearson)."
PROTOCOL_NOTE = "Positives: Agatston 10-20; negatives: none, as in the paper."
Protocol = tuple[str, ...]


def all_tables(judged: Sequence[rows.Row]) -> list[tables.Table]:
    """Make Tables 1 to 4; 1 and 2 also for all scans with calcium against those without."""
    found = tables.groups(judged)
    return [
        table_1(found, PROTOCOL),
        table_1(found, rows.STRATA),
        table_2(found, PROTOCOL),
        table_3(found),
        table_4(found),
    ]


def confusion(group: tables.Group, strata: Protocol = PROTOCOL) -> figures.Counts:
    """Count a group's confusion matrix over the scans of some strata."""
    scans = group.stratum(*strata)
    return figures.count([row.positive for row in scans], [not row.excluded for row in scans])


def figures_of(judged: Sequence[rows.Row]) -> tables.Table:
    """List every figure of Table 1 with its intervals, one a line, to go on with."""
    body = []
    for group in tables.groups(judged):
        for name, strata in (("10-20", PROTOCOL), ("all", rows.STRATA)):
            for figure in figures.FIGURES:
                found = figures.estimate(confusion(group, strata), figure)
                ends = (*found.bootstrap, *(found.exact or (float("nan"),) * 2))
                body.append((*group.title, name, figure, *(f"{end:.4f}" for end in (found.value, *ends))))
    head = ("set", "way", "positives", "figure", "value", "bootstrap low", "bootstrap high", "exact low", "exact high")
    return tables.Table(name="figures", title="Figures", head=head, body=tuple(body))


def table_1(found: Sequence[tables.Group], strata: Protocol) -> tables.Table:
    """Make Table 1: precision, sensitivity and the rest."""

    def line(group: tables.Group) -> list[tuple[tables.Cell, ...]]:
        counts = confusion(group, strata)
        estimates = [tables.estimated(figures.estimate(counts, figure)) for figure in figures.FIGURES]
        return [(counts.tp + counts.fn, counts.fp + counts.tn, *estimates)]

    own = strata == PROTOCOL
    theirs = [(*_apart(name), 50, 50, *said, "-", "-") for name, said in published.TABLE_1.items()]
    title = "Table 1: exclusion" + ("" if own else ", all scans with calcium against those without")
    return tables.Table(
        name="table1" if own else "table1-all",
        title=title,
        head=("set", "way", "with CAC", "without", *figures.FIGURES),
        body=(*tables.lines(found, line), *(theirs if own else ())),
        notes=(PROTOCOL_NOTE if own else "Positives: all with coronary calcium.", NOT_EXCLUDED, INTERVALS),
    )


def table_2(found: Sequence[tables.Group], strata: Protocol) -> tables.Table:
    """Make Table 2: the confusion matrices."""

    def line(group: tables.Group) -> list[tuple[tables.Cell, ...]]:
        return [_matrix(confusion(group, strata))]

    theirs = []
    for name, (tp, fp, fn, tn) in published.TABLE_2.items():
        theirs.append((*_apart(name), *_matrix(figures.Counts(tp=tp, fp=fp, fn=fn, tn=tn))))
    return tables.Table(
        name="table2",
        title="Table 2: confusion matrices",
        head=("set", "way", "no CAC, excluded", "no CAC, not excluded", "CAC, excluded", "CAC, not excluded", "kappa"),
        body=(*tables.lines(found, line), *theirs),
        notes=(PROTOCOL_NOTE, NOT_EXCLUDED),
    )


def table_3(found: Sequence[tables.Group]) -> tables.Table:
    """Make Table 3: how well calcium is segmented."""

    def line(group: tables.Group) -> list[tuple[tables.Cell, ...]]:
        positive = tuple(row for row in group.scans if row.positive)
        return [
            (name, *_segmented(scans))
            for name, scans in (
                ("Agatston 10-20", group.stratum("10-20")),
                ("with calcium", positive),
                ("without", group.stratum("0")),
            )
            if scans
        ]

    theirs = [
        (*_apart(name), "Agatston 10-20", 50, f"{said:.2f}", f"{figures.dice(tp, fp, fn):.2f}", tp, fp, fn)
        for name, (said, tp, fp, fn) in published.TABLE_3.items()
    ]
    return tables.Table(
        name="table3",
        title="Table 3: segmentation",
        head=(
            "set",
            "way",
            "scans",
            "n",
            "Dice, mean a scan",
            "Dice, pooled",
            "TP mm3/scan",
            "FP mm3/scan",
            "FN mm3/scan",
        ),
        body=(*tables.lines(found, line), *theirs),
        notes=(
            "Voxels on the scan's own grid; a scan that is not segmented misses all.",
            "Thin slices are scored on 3 mm slabs: each slice takes the mask of the slab nearest to it, where it",
            "reaches 130 HU itself. The paper says a Dice of 0.63 and 0.84; its volumes give what stands as pooled.",
        ),
    )


def table_4(found: Sequence[tables.Group]) -> tables.Table:
    """Make Table 4: ours beside what others published."""
    ours = []
    for group in found:
        counts = confusion(group)
        cells = {figure: tables.estimated(figures.estimate(counts, figure)) for figure in figures.FIGURES}
        cells |= {"TP": str(counts.tp), "FP": str(counts.fp), "FN": str(counts.fn), "TN": str(counts.tn)}
        ours.append([cells[name] for name in published.TABLE_4_ROWS])
    columns = [*ours, *published.TABLE_4.values()]
    body = tuple((name, *cells) for name, cells in zip(published.TABLE_4_ROWS, zip(*columns, strict=True), strict=True))
    return tables.Table(
        name="table4",
        title="Table 4: beside published work",
        head=("", *(f"ours, {group.set_name}, {group.way}" for group in found), *published.TABLE_4),
        body=body,
        notes=(
            PROTOCOL_NOTE,
            f"Published columns: {published.PAPER}, Table 4; they are of patients, each of its own cohort.",
        ),
    )


def _matrix(counts: figures.Counts) -> tuple[tables.Cell, ...]:
    return counts.tn, counts.fp, counts.fn, counts.tp, tables.estimated(figures.estimate(counts, "kappa"))


def _segmented(scans: Sequence[rows.Row]) -> tuple[tables.Cell, ...]:
    each = [figures.dice(row.tp, row.fp, row.fn) for row in scans if row.positive]
    volumes = [tables.mean([getattr(row, name) for row in scans]) for name in ("tp", "fp", "fn")]
    pooled = figures.dice(*volumes) if each else float("nan")
    return len(scans), tables.estimated(figures.mean(each)), f"{pooled:.2f}" if each else "-", *volumes


def _apart(name: str) -> tuple[str, str]:
    first, _, last = name.rpartition(", ")
    return first, last
