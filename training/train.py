"""Train the nets on prepared cases: `python -m training.train` makes all six, two at a time.

A run that was killed goes on from its last checkpoint when the same command is given again, to the same weights.
"""

import argparse
import concurrent.futures
import multiprocessing
import os
import pathlib
import threading
from typing import Any

import torch

from cac import finding
from training import cases, errors, journal, knobs
from training import run as runs

ARCHITECTURES = ("dilated", "plain")


def train(job: runs.Job) -> pathlib.Path:
    """Train one net, from its checkpoint where there is one; return the file of its weights."""
    torch.set_num_threads(1)
    run = runs.Run(job)
    source, log, every = run.source, run.log, job.config["train"].get("save", 500)
    run.resume() if run.checkpoint.exists() else run.begin()
    half = torch.cpu._is_avx512_bf16_supported() and not source.epoch  # emulated elsewhere, and ten times slower there
    while run.step < source.steps:
        drawn, images, labels = source.draw()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            logits = run.net(images.contiguous(memory_format=source.layout))
        total, each, figures = source.cost(logits.float(), labels)
        run.optimizer.zero_grad(set_to_none=True)
        total.backward()
        source.clip(run.net)
        rate = run.schedule.get_last_lr()[0]
        run.optimizer.step()
        run.schedule.step()
        source.learn(drawn, each.detach().numpy())
        run.step += 1
        log.add(figures)
        if run.step % journal.SAID == 0:
            log.say(run.step)
        if run.step == source.steps or run.step % (source.epoch or journal.SAID) == 0:
            log.row(run.step, rate)
            if source.epoch:
                run.keep()
        if run.step % every == 0:
            run.save()
    run.keep()
    run.checkpoint.unlink(missing_ok=True)
    return run.path


def _die_with_parent() -> None:
    """End this process when the one that started it is killed: two runs of one net would spoil its checkpoint."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def main() -> None:
    """Train what the command line names; all six nets by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=pathlib.Path, default=cases.CONFIG)
    parser.add_argument("--scratch", type=pathlib.Path, default=cases.SCRATCH)
    parser.add_argument("--architecture", choices=ARCHITECTURES, action="append")
    parser.add_argument("--plane", choices=list(finding.Plane), type=finding.Plane, action="append")
    parser.add_argument("--width", type=int, help="the nets' base width, in the place of the configuration's")
    parser.add_argument("--jobs", type=int, default=2, help="nets trained at a time, one thread each")
    parser.add_argument(
        "--more", dest="start", default="", metavar="START", help="go on from weights: see training.run.weights"
    )
    options = parser.parse_args()
    try:
        _train(options, knobs.read(options.config, options.width))
    except (errors.DatasetError, OSError, ValueError) as exc:
        raise SystemExit(f"Not trained: {exc}") from exc


def _train(options: argparse.Namespace, config: dict[str, Any]) -> None:
    jobs = [
        runs.Job(architecture=architecture, plane=plane, config=config, scratch=options.scratch, start=options.start)
        for architecture in options.architecture or ARCHITECTURES
        for plane in options.plane or finding.Plane
    ]
    # An executor, not a pool: a pool waits for ever for a worker that was killed.
    with concurrent.futures.ProcessPoolExecutor(
        min(options.jobs, len(jobs)), multiprocessing.get_context("spawn"), _die_with_parent
    ) as workers:
        list(workers.map(train, jobs))


if __name__ == "__main__":
    main()
