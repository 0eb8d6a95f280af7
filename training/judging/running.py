"""Run the node's own pipeline over labelled scans, in several processes, a row for each way of judging as it comes."""

import dataclasses
import multiprocessing
import os
import pathlib
import sys
import time
from collections.abc import Iterable, Mapping, Sequence

from cac import finding, pipeline, reasons
from training import labelled, sets
from training.judging import measuring, rows
from triage import manifest
from worker import inference

ROWS = "rows.jsonl"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """Say how scans are judged: by which nets, asked how; `levels` replace the manifest's, without joint ones."""

    models: pathlib.Path
    architectures: tuple[str, ...]
    evaluation: finding.Evaluation = finding.Evaluation.SPARSE
    levels: finding.Levels | None = None
    profile: finding.Profile = finding.Profile.DEFAULT

    @property
    def ways(self) -> tuple[str, ...]:
        """Return all ways that each scan is judged by."""
        return (*self.architectures, rows.THRESHOLD)

    def model_set(self, architecture: str) -> manifest.ModelSet:
        """Return the nets of an architecture with the thresholds of this plan; ModelError."""
        found = manifest.load(self.models / "manifest.json").model_set(architecture)
        if self.levels is None:
            return found
        nets = {plane: dataclasses.replace(net, levels=self.levels) for plane, net in found.nets.items()}
        return dataclasses.replace(found, nets=nets, joint=finding.DOUBT_ALL)

    def digests(self) -> Mapping[str, str]:
        """Return what decides each architecture's answers, as a digest."""
        return {name: self.model_set(name).digest(self.profile) for name in self.architectures}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Failure:
    """Name a scan that could not be made, read or judged, and why."""

    name: str
    why: str


def run(tasks: Sequence[sets.Task], plan: Plan, folder: pathlib.Path, jobs: int) -> list[Failure]:
    """Judge the scans that the folder holds no rows of yet; return those that failed.

    ValueError where the folder holds rows of other nets or thresholds, or of scans that a data set has no longer:
    they must not be mixed. A stored scan that changed since is judged again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ROWS
    there = rows.read(path)
    digests = plan.digests()
    if any(row.models != digests.get(row.way, row.models) for row in there):
        raise ValueError(f"{path} holds rows of other nets or thresholds: name another folder, or delete it")
    _refuse_strangers(tasks, there, path)
    done = rows.scans(there, plan.ways) - _changed(tasks, there)
    todo = [task for task in tasks if (task.set_name, task.name) not in done]
    failed = []
    began = time.monotonic()
    for number, came in enumerate(_judged(todo, plan, jobs), 1):
        left = (time.monotonic() - began) / number * (len(todo) - number) / 60
        if isinstance(came, Failure):
            failed.append(came)
            said = f"{came.name} failed: {came.why}"
        else:
            rows.append(path, came)
            said = " ".join([came[0].name, *(f"{row.way} {row.outcome} {row.seconds:.1f} s" for row in came)])
            said += f", made in {came[0].making:.1f} s"
        print(f"{number}/{len(todo)} {said}, {left:.0f} min left", file=sys.stderr, flush=True)
    return failed


def _refuse_strangers(tasks: Sequence[sets.Task], there: Sequence[rows.Row], path: pathlib.Path) -> None:
    """Refuse rows of an asked data set's name whose scans it does not hold: of another one, or taken out."""
    stored = {task.set_name for task in tasks if isinstance(task, sets.Stored)}
    asked = {(task.set_name, task.name) for task in tasks}
    strangers = sorted({row.name for row in there if row.set_name in stored and rows.key(row) not in asked})
    if strangers:
        names = ", ".join(strangers[:5])
        raise ValueError(
            f"{path} holds rows of {len(strangers)} scans that are not in {', '.join(sorted(stored))} ({names}): "
            "name another folder, or delete it"
        )


def _changed(tasks: Sequence[sets.Task], there: Sequence[rows.Row]) -> set[rows.Key]:
    """Name the stored scans whose voxels or truth are no longer those that their rows tell of."""
    told = {rows.key(row): row.data for row in there}
    stored = {(task.set_name, task.name): task for task in tasks if isinstance(task, sets.Stored)}
    return {key for key in stored.keys() & told.keys() if told[key] != _digest(stored[key])}


def _digest(task: sets.Task) -> str:
    try:
        return measuring.digest(task.scan())
    except Exception:  # as in _job: what cannot be read is named when its turn comes
        return ""


def _judged(todo: Sequence[sets.Task], plan: Plan, jobs: int) -> Iterable[list[rows.Row] | Failure]:
    if not todo:
        return
    # spawn: ONNX Runtime's threads do not survive a fork. One thread each: OpenBLAS's own would fight over the cores.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    _open(plan)  # here first: a pool replaces a process that cannot open the nets, for ever
    context = multiprocessing.get_context("spawn")
    with context.Pool(min(jobs, len(todo)), initializer=_open, initargs=(plan,)) as pool:
        yield from pool.imap_unordered(_job, todo, chunksize=1)


Engines = Mapping[str, tuple[inference.Engine, str]]
"""An architecture's nets, and what decides its answers as a digest."""

_bench: tuple[Engines, finding.Profile] = {}, finding.Profile.DEFAULT


def _open(plan: Plan) -> None:
    global _bench
    engines = {}
    stated = manifest.load(plan.models / "manifest.json")
    for name, digest in plan.digests().items():
        engine = inference.load(stated, plan.models, name, threads=1, evaluation=plan.evaluation)
        engines[name] = dataclasses.replace(engine, model_set=plan.model_set(name)), digest
    _bench = engines, plan.profile


def _job(task: sets.Task) -> list[rows.Row] | Failure:
    try:
        return judge(task, *_bench)
    except Exception as exc:  # one scan that cannot be read must not lose the others: it is named at the end
        return Failure(name=f"{task.set_name} {task.name}", why=f"{type(exc).__name__}: {exc}")


def judge(task: sets.Task, engines: Engines, profile: finding.Profile) -> list[rows.Row]:
    """Make or read a scan once and judge it in every way."""
    began = time.process_time()
    scan = task.scan()
    about = measuring.About(
        set_name=task.set_name,
        synthetic=task.synthetic,
        data=measuring.digest(scan),
        making=time.process_time() - began,
    )
    ground = measuring.survey(scan, profile)
    judged = []
    for name, (engine, digest) in engines.items():
        began = time.process_time()
        answer = find(scan, engine, profile)
        seconds = time.process_time() - began
        judged.append(measuring.row(ground, answer, (name, digest), seconds, about))
    return [*judged, measuring.baseline(ground, answer, about)]


def find(scan: labelled.LabelledScan, engine: inference.Engine, profile: finding.Profile) -> finding.CalciumFinding:
    """Answer as the node does: a header that is unsuitable ends it before any net runs.

    In profile `paper` the outcome is the paper's: any voxel left is calcium, nothing else is, and there are no doubts.
    """
    if scan.refused:
        why = tuple(reasons.Reason(code=reasons.ReasonCode(code), text="") for code in scan.refused)
        return finding.CalciumFinding(outcome=finding.Outcome.UNSUITABLE, reasons=why, profile=profile)
    found = pipeline.find_calcium(scan.volume, engine.predict, engine.spec, profile=profile)
    broken = any(reason.code is reasons.ReasonCode.NON_FINITE for reason in found.reasons)
    if profile is finding.Profile.PAPER and found.outcome is finding.Outcome.INDETERMINATE and not broken:
        return dataclasses.replace(found, outcome=finding.Outcome.ABSENT)
    return found
