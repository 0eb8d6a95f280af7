"""Export trained nets to ONNX and write the manifest: `python -m training.export`."""

import argparse
import dataclasses
import hashlib
import json
import pathlib
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch

from cac import finding
from training import cases, crop, nets, run, train
from triage import manifest

MODELS = pathlib.Path(__file__).parents[1] / "models"
OPSET = 18
TOLERANCE = 1e-4
UNCALIBRATED = finding.Levels(low=1e-9, high=1e-9)
UNCALIBRATED_JOINT = finding.Joint(accept=0.5, other=1e-9, speck=1e-9)
"""Until `training.evaluate --tune` has chosen better ones every candidate is in doubt: nobody knows what they miss."""


def export(net: nets.UNet, plane: finding.Plane, architecture: str, path: pathlib.Path) -> None:
    """Write one net as ONNX, with free batch, height and width, its plane and architecture inside the file."""
    wrapped = nets.Probability(net).eval()
    example = torch.zeros(2, 2, 96, 128)
    free = {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    program = torch.onnx.export(
        wrapped,
        (example,),
        input_names=["image"],
        output_names=["probability"],
        dynamic_shapes=(free,),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    program.save(str(path), external_data=False)
    model = onnx.load(path)
    _forget_where(model)
    crop.insert(model)
    onnx.helper.set_model_props(model, {"plane": str(plane), "architecture": architecture, "use": "research only"})
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())


def _forget_where(model: onnx.ModelProto) -> None:
    """Drop the exporter's notes: they name this machine's folders, and so would change the hash elsewhere."""
    del model.metadata_props[:]
    for part in (model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        part.ClearField("doc_string")
        del part.metadata_props[:]


def difference(net: nets.UNet, path: pathlib.Path, *, seed: int = 0) -> float:
    """Return the largest difference of the exported net's answers to the original's, for several sizes and parts."""
    random = np.random.default_rng(seed)
    wrapped = nets.Probability(net).eval()
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    worst = 0.0
    for shape in ((1, 64, 320), (3, 40, 64), (2, 320, 320)):
        image = cases.image(random.normal(60, 80, shape).astype(np.float32)).swapaxes(0, 1)
        image = np.ascontiguousarray(image)
        with torch.no_grad():
            wanted = wrapped(torch.from_numpy(image)).numpy()
        for core in ((0, 0, *shape[1:]), (0, 0, 8, 12), (12, 24, 16, 32)):
            top, left, bottom, right = core
            answer = session.run(None, {"image": image, crop.CORE: np.array(core)})[0]
            worst = max(worst, float(np.abs(answer - wanted[:, top:bottom, left:right]).max()))
    return worst


def chosen_levels(models: pathlib.Path) -> dict[str, dict[str, float]]:
    """Return the thresholds of the manifest that is there, by what was learned: they hold as long as that does."""
    return {learned(models / net["file"]): net["levels"] for net in _there(models).get("nets", [])}


def of_architectures(models: pathlib.Path, part: str) -> dict[str, tuple[set[str], dict[str, Any]]]:
    """Return what a part of the manifest says of each architecture, and what its nets have learned.

    `part` is 'operating_point' or 'joint': with other weights either says nothing.
    """
    stated = _there(models)
    return {
        architecture: (
            {learned(models / n["file"]) for n in stated["nets"] if n["architecture"] == architecture},
            said,
        )
        for architecture, said in stated.get(part, {}).items()
    }


def still_true(
    before: dict[str, tuple[set[str], dict[str, Any]]], entries: list[dict[str, Any]], models: pathlib.Path
) -> dict[str, dict[str, Any]]:
    """Return what was said of the architectures whose nets have learned what they had."""
    now = {name: {learned(models / e["file"]) for e in entries if e["architecture"] == name} for name in before}
    return {name: said for name, (weights, said) in before.items() if weights == now[name]}


def refuse_parts(folder: pathlib.Path) -> None:
    """Leave where there are no weights, or some planes' only: the node needs all three."""
    there = {
        name: [plane for plane in finding.Plane if (folder / f"{name}-{plane}.pt").exists()]
        for name in train.ARCHITECTURES
    }
    if not any(there.values()):
        raise SystemExit(f"{folder} holds no weights: train some with training.train")
    for name, planes in there.items():
        if planes and len(planes) < len(finding.Plane):
            raise SystemExit(f"{folder} holds {name} weights for {', '.join(planes)} only: train the other planes too")


def with_others(entries: list[dict[str, Any]], models: pathlib.Path) -> list[dict[str, Any]]:
    """Return the entries and, of the manifest that is there, those of architectures that were not exported now."""
    before = _there(models).get("nets", [])
    now = {each["architecture"] for each in entries}
    kept = [each for each in before if each["architecture"] in train.ARCHITECTURES and each["architecture"] not in now]
    return sorted([*entries, *kept], key=lambda each: train.ARCHITECTURES.index(each["architecture"]))


def _there(models: pathlib.Path) -> dict[str, Any]:
    """Return the manifest that is there, or nothing; that of another schema would lend its thresholds a new meaning."""
    path = models / "manifest.json"
    stated: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    if stated and stated.get("schema") != manifest.SCHEMA:
        raise SystemExit(
            f"{path} is of schema {stated.get('schema')}, not {manifest.SCHEMA}: export into an empty folder"
        )
    return stated


def learned(path: pathlib.Path) -> str:
    """Hash the weights in an exported net, whatever graph is around them."""
    weights = [part for part in onnx.load(path).graph.initializer if part.name.startswith("net.")]
    return hashlib.sha256(b"".join(part.raw_data for part in weights)).hexdigest()


def entry(
    architecture: str,
    plane: finding.Plane,
    path: pathlib.Path,
    levels: dict[str, dict[str, float]],
    recipe: list[dict[str, Any]],
) -> dict[str, Any]:
    """Build one net's part of the manifest; `levels` are thresholds chosen before, by what was learned.

    `recipe` is what `training.train` wrote beside the weights: the turns that made them.
    """
    spec = finding.NetSpec(levels={})
    return {
        "plane": str(plane),
        "architecture": architecture,
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "input_shape": [None, 2, None, None],
        "channels": ["hu", "calcium"],
        "window": spec.window,
        "spacing": spec.spacing,
        "stride": nets.STRIDE,
        "depth": spec.depth,
        "receptive_field": nets.receptive_field(architecture),
        "levels": levels.get(learned(path), dataclasses.asdict(UNCALIBRATED)),
        "recipe": {"turns": recipe},
    }


def main() -> None:
    """Export every net that has weights and write models/manifest.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scratch", type=pathlib.Path, default=cases.SCRATCH)
    parser.add_argument("--models", type=pathlib.Path, help="by default models/, but for another method's nets")
    parser.add_argument("--method", choices=["paper"], help="the paper's own way of training: see training.paper")
    parser.add_argument("--version", default="2026.11.6")
    options = parser.parse_args()
    if options.method and options.models is None:
        parser.error("nets of another method need a folder of their own: --models")
    models, folder = options.models or MODELS, run.home(options.scratch, options.method)
    models.mkdir(parents=True, exist_ok=True)
    refuse_parts(folder)
    entries, levels = [], chosen_levels(models)
    points, joints = (of_architectures(models, part) for part in ("operating_point", "joint"))
    for architecture in train.ARCHITECTURES:
        for plane in finding.Plane:
            weights = folder / f"{architecture}-{plane}.pt"
            if not weights.exists():
                continue
            recipe = json.loads(weights.with_suffix(".json").read_text())
            net = nets.UNet(architecture, **recipe[-1]["config"]["net"])
            net.load_state_dict(torch.load(weights, weights_only=True))
            path = models / f"{architecture}-{plane}.onnx"
            export(net, plane, architecture, path)
            worst = difference(net, path)
            if worst > TOLERANCE:
                raise SystemExit(f"{path.name} differs from its original by {worst:.1e}")
            print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB, differs by at most {worst:.1e}")
            entries.append(entry(architecture, plane, path, levels, recipe))
    entries = with_others(entries, models)
    if untuned := sorted({e["architecture"] for e in entries if e["levels"] == dataclasses.asdict(UNCALIBRATED)}):
        print(f"No thresholds were chosen for {', '.join(untuned)} yet: run training.evaluate --tune before any use")
    uncalibrated = dict.fromkeys((e["architecture"] for e in entries), dataclasses.asdict(UNCALIBRATED_JOINT))
    document = {
        "schema": manifest.SCHEMA,
        "name": "cac-triage nets",
        "version": options.version,
        "use": "research only",
        "training_data": "; ".join(
            sorted({s for e in entries for turn in e["recipe"]["turns"] for s in turn["cases"]})
        ),
        "default_architecture": entries[0]["architecture"],
        "self_test": {"agatston": 12, "seed": 3_000_000, "increment": 1.5, "matrix": 256, "pixel": 0.9, "noise": 12.0},
        "nets": entries,
        "joint": uncalibrated | still_true(joints, entries, models),
        "operating_point": still_true(points, entries, models),
    }
    (models / "manifest.json").write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
