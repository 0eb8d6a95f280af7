"""Measure what each step of the pipeline is worth, one change at a time: `python -m training.ablate`.

Runs every variant on held-out phantoms, half without calcium and half of Agatston 10-20, and writes a table as
Markdown and CSV beside the rows it is made of. A stopped run goes on where it was. No torch is needed.
"""

import argparse
import dataclasses
import hashlib
import json
import multiprocessing
import os
import pathlib
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from cac import candidates, finding, heart, pipeline, volume
from cac.phantom import population, scan
from training import labelled, sets
from training.judging import statistics as figures
from training.judging import tables, variants
from triage import errors, manifest
from worker import inference

ROOT = pathlib.Path(__file__).parents[1]
ROWS = "rows.jsonl"
BASELINE = "baseline: all >= 130 HU in the envelope"
NODE = "the node: default profile, with doubts"
FIRST_SEED = 700_000
"""The block up to 799 999 is used for nothing else."""
GROUPS: tuple[sets.Range, ...] = ((0, 0), (10, 20))

Record: TypeAlias = Mapping[str, Any]
"""A scan's line of JSON: name, digest, positive, making and seconds, and `rows`, a verdict's fields by variant."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """Hold what every scan is asked: the nets of the reference, those of the node, and the variants."""

    reference: variants.Nets
    node: variants.Nets
    listed: tuple[variants.Variant, ...]

    @property
    def nets(self) -> list[variants.Nets]:
        """Return all nets that are asked, in order."""
        return sorted({self.node, *(variant.nets for variant in self.listed)})

    @property
    def digest(self) -> str:
        """Return a digest of the variants, and of the weights and thresholds that decide their answers."""
        weights = [_model_set(each).digest(finding.Profile.DEFAULT) for each in self.nets]
        asked = [dataclasses.asdict(dataclasses.replace(each, nets=("", ""))) for each in self.listed]
        return hashlib.sha256(json.dumps([asked, weights]).encode()).hexdigest()


def _model_set(nets: variants.Nets) -> manifest.ModelSet:
    folder, architecture = nets
    return manifest.load(pathlib.Path(folder) / "manifest.json").model_set(architecture)


def main(argv: Sequence[str] | None = None) -> int:
    """Do what is asked; return 1 where a scan failed, 2 where what is asked cannot be done."""
    options = parser().parse_args(argv)
    try:
        plan = planned(options.models, options.architecture, variants.widths(options.width))
        failed = run(phantoms(options.each), plan, options.out, options.jobs)
        print(write(plan, options.out))
    except (ValueError, OSError, errors.ModelError) as exc:
        print(exc, file=sys.stderr)
        return 2
    return 1 if failed else 0


def parser() -> argparse.ArgumentParser:
    """Describe the command."""
    made = argparse.ArgumentParser(prog="python -m training.ablate", description=__doc__)
    made.add_argument("--models", type=pathlib.Path, default=ROOT / "models")
    made.add_argument("--architecture", default="dilated", help="of the reference; the node's is the manifest's")
    made.add_argument("--width", nargs="+", default=[], metavar="WIDTH=FOLDER", help="models of other base widths")
    made.add_argument("--each", type=int, default=10, help="phantoms without calcium, and as many with")
    made.add_argument("--jobs", type=int, default=2, help="processes, one thread each")
    made.add_argument("--out", type=pathlib.Path, default=ROOT / "build" / "ablation")
    return made


def planned(models: pathlib.Path, architecture: str, widths: Mapping[str, str]) -> Plan:
    """List the variants that these models allow; ModelError."""
    stated = manifest.load(models / "manifest.json")
    reference = (str(models), stated.model_set(architecture).architecture)
    node = (str(models), stated.default_architecture)
    return Plan(reference=reference, node=node, listed=variants.listed(reference, tuple(stated.architectures), widths))


def phantoms(each: int, style: scan.Style | None = None) -> list[sets.Phantom]:
    """List `each` phantoms without calcium and with Agatston 10-20; increments come in turn. ValueError for none."""
    if each < 1:
        raise ValueError("A group has one phantom or more.")
    return [
        sets.Phantom(
            set_name="ablation",
            seed=FIRST_SEED + sets.TRIES * (len(GROUPS) * number + place),
            wanted=wanted,
            increment=sets.INCREMENTS[number % len(sets.INCREMENTS)],
            style=style or scan.Style(people=population.BROAD),
        )
        for number in range(each)
        for place, wanted in enumerate(GROUPS)
    ]


def run(tasks: Sequence[sets.Phantom], plan: Plan, folder: pathlib.Path, jobs: int) -> list[str]:
    """Judge the scans that the folder holds no record of yet; return those that failed, with the reason.

    ValueError where the folder holds records of other nets or variants: they must not be mixed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    there, digest = read(folder), plan.digest
    if any(record["digest"] != digest for record in there):
        raise ValueError(f"{folder / ROWS} holds rows of other nets or variants: name another folder, or delete it")
    done = {record["name"] for record in there}
    todo = [task for task in tasks if task.name not in done]
    failed = []
    for number, came in enumerate(_judged(todo, plan, jobs), 1):
        if isinstance(came, str):
            failed.append(came)
            said = came
        else:
            with (folder / ROWS).open("a") as file:
                file.write(json.dumps({**came, "digest": digest}) + "\n")
            said = f"{came['name']} made in {came['making']:.1f} s, judged in {came['seconds']:.1f} s"
        print(f"{number}/{len(todo)} {said}", file=sys.stderr, flush=True)
    return failed


def read(folder: pathlib.Path) -> list[Record]:
    """Read the records of a run; the half line that a kill left is cut off."""
    path = folder / ROWS
    text = path.read_text() if path.exists() else ""
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole)
    return [json.loads(line) for line in whole.splitlines()]


def _judged(todo: Sequence[sets.Phantom], plan: Plan, jobs: int) -> Iterable[Record | str]:
    if not todo:
        return
    # spawn: ONNX Runtime's threads do not survive a fork. One thread each: OpenBLAS's own would fight over the cores.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    _open(plan)  # here first: a pool replaces a process that cannot open the nets, for ever
    context = multiprocessing.get_context("spawn")
    with context.Pool(min(jobs, len(todo)), initializer=_open, initargs=(plan,)) as pool:
        yield from pool.imap_unordered(_job, todo, chunksize=1)


_bench: list[tuple[Plan, Mapping[variants.Nets, inference.Engine]]] = []


def _open(plan: Plan) -> None:
    _bench[:] = [(plan, engines(plan))]


def _job(task: sets.Phantom) -> Record | str:
    try:
        return judge(task, *_bench[0])
    except Exception as exc:  # one scan that cannot be judged must not lose the others: it is named at the end
        return f"{task.name} failed: {type(exc).__name__}: {exc}"


def engines(plan: Plan) -> Mapping[variants.Nets, inference.Engine]:
    """Open every net that a plan needs, once; ModelError."""
    opened = {}
    for folder, architecture in plan.nets:
        models = pathlib.Path(folder)
        stated = manifest.load(models / "manifest.json")
        opened[folder, architecture] = inference.load(stated, models, architecture, threads=1)
    return opened


def judge(task: sets.Phantom, plan: Plan, nets: Mapping[variants.Nets, inference.Engine]) -> Record:
    """Make a scan and judge it by every variant, the node and the baseline."""
    began = time.process_time()
    made = task.scan()
    making = time.process_time() - began
    truth = made.truth > 0
    verdicts = {NODE: _by_node(made, truth, nets[plan.node])}
    located = heart.locate(made.volume)
    if located is None:  # nobody may call that negative
        nothing = variants.judge(made.volume, truth, np.zeros_like(truth), negative=False)
        verdicts |= dict.fromkeys((BASELINE, *(variant.name for variant in plan.listed)), nothing)
    else:
        dense = candidates.calcium(made.volume, located.envelope)
        verdicts[BASELINE] = variants.judge(made.volume, truth, dense, negative=not dense.any())
        verdicts |= _by_variants(made, truth, located, plan, nets)
    return {
        "name": task.name,
        "positive": bool(truth.any()),
        "making": making,
        "seconds": time.process_time() - began - making,
        "rows": {name: dataclasses.asdict(verdict) for name, verdict in verdicts.items()},
    }


def _by_variants(
    made: labelled.LabelledScan,
    truth: volume.BoolArray,
    located: heart.Heart,
    plan: Plan,
    nets: Mapping[variants.Nets, inference.Engine],
) -> dict[str, variants.Verdict]:
    """Ask each set of nets once a crop, whatever the number of variants that read the answers."""
    asked: dict[tuple[variants.Nets, str], variants.Answers] = {}
    verdicts = {}
    for variant in plan.listed:
        key = variant.nets, variant.crop
        if key not in asked:
            engine = nets[variant.nets]
            asked[key] = variants.ask(made.volume, located.box, engine.predict, engine.spec, variant.crop)
        calcium, doubted = variants.mask(variant, made.volume, asked[key], located.envelope)
        negative = not calcium.any() and not doubted
        verdicts[variant.name] = variants.judge(made.volume, truth, calcium, negative)
    return verdicts


def _by_node(made: labelled.LabelledScan, truth: volume.BoolArray, engine: inference.Engine) -> variants.Verdict:
    found = pipeline.find_calcium(made.volume, engine.predict, engine.spec)
    calcium = np.zeros_like(truth) if found.mask is None else found.mask
    return variants.judge(made.volume, truth, calcium, found.outcome is finding.Outcome.ABSENT)


def write(plan: Plan, folder: pathlib.Path) -> str:
    """Write the table as Markdown and CSV, and return the former; ValueError where there is no record."""
    records = read(folder)
    if not records:
        raise ValueError(f"{folder} holds no rows to make a table of")
    made = table([*(variant.name for variant in plan.listed), BASELINE, NODE], records)
    text = tables.markdown(made, tables.SYNTHETIC)
    (folder / "ablation.md").write_text(text)
    (folder / "ablation.csv").write_text(tables.comma_separated(made, tables.SYNTHETIC))
    return text


def table(names: Sequence[str], records: Sequence[Record]) -> tables.Table:
    """Make one line a variant."""
    return tables.Table(
        name="ablation",
        title="Ablation: one change at a time",
        head=(
            "variant",
            "zeros excluded",
            "positives called negative",
            "false mm3 a zero",
            "Dice a scan",
            "Dice, pooled",
        ),
        body=tuple(_line(name, records) for name in names),
        notes=(
            "Excluded: nothing left and nothing in doubt. Dice over scans with calcium: the mean of the scans', and of "
            "their pooled volumes. No row but the node's tests suitability or the stability of the heart box, and "
            "none but the node's and the spacing-aware rule's knows doubt.",
            "Nets of the shipped configuration learn nothing below 130 HU: without the HU gate they answer where they "
            "were never taught.",
        ),
    )


def _line(name: str, records: Sequence[Record]) -> tuple[tables.Cell, ...]:
    zeros = [record["rows"][name] for record in records if not record["positive"]]
    positives = [record["rows"][name] for record in records if record["positive"]]
    volumes = [(row["tp"], row["fp"], row["fn"]) for row in positives]
    pooled = np.array(volumes).reshape(-1, 3).sum(axis=0).tolist()
    return (
        name,
        f"{sum(row['negative'] for row in zeros)} of {len(zeros)}",
        f"{sum(row['negative'] for row in positives)} of {len(positives)}",
        tables.mean([row["fp"] for row in zeros]),
        tables.mean([figures.dice(*each) for each in volumes]),
        figures.dice(*pooled),
    )


if __name__ == "__main__":
    sys.exit(main())
