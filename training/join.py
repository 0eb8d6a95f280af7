"""Join each plane's dilated and plain net into one: `python -m training.join`.

The joined net's logit is the mean of theirs, so that to the pipeline it is one more architecture: three planes, one net
each. What errs in one net alone, as on noise, weighs half. See docs/decisions, 31.
"""

import argparse
import dataclasses
import hashlib
import json
import os
import pathlib
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from google.protobuf import message
from onnx import helper, numpy_helper

from cac import finding
from training import export
from triage import errors, manifest

PARTS = ("dilated", "plain")
JOINED = "both"
_SHARED = ("image", "core")


def join(parts: Mapping[str, bytes], plane: finding.Plane) -> bytes:
    """Return one net, as ONNX, whose logit is the mean of the parts'; parts are files' contents by architecture.

    ValueError where one is no net of `export` of that architecture and plane.
    """
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []
    logits = []
    models = {name: _opened(content, name, plane) for name, content in parts.items()}
    for name, model in models.items():
        *before, last = _named(model, name).graph.node
        nodes += before
        weights += model.graph.initializer
        logits.append(last.input[0])
    first = next(iter(models.values()))
    weights.append(numpy_helper.from_array(np.array(1 / len(logits), np.float32), "share"))
    nodes += [
        helper.make_node("Sum", logits, ["sum"], name="node_sum"),
        helper.make_node("Mul", ["sum", "share"], ["logit"], name="node_logit"),
        helper.make_node("Sigmoid", ["logit"], ["probability"], name="node_probability"),
    ]
    graph = helper.make_graph(nodes, JOINED, first.graph.input, first.graph.output, weights)
    made = helper.make_model(graph, opset_imports=first.opset_import, ir_version=first.ir_version)
    helper.set_model_props(made, {"plane": str(plane), "architecture": JOINED, "use": "research only"})
    onnx.checker.check_model(made, full_check=True)
    return bytes(made.SerializeToString(deterministic=True))


def _opened(content: bytes, name: str, plane: finding.Plane) -> onnx.ModelProto:
    """Open a part; a swapped one would be joined in silence, and nobody could tell from the result."""
    try:
        model = onnx.load_from_string(content)
    except message.DecodeError as exc:
        raise ValueError(f"the {name} {plane} net is no ONNX file: {exc}") from exc
    inside = {prop.key: prop.value for prop in model.metadata_props}
    said = inside.get("architecture"), inside.get("plane"), [(each.domain, each.version) for each in model.opset_import]
    ours = model.graph.node and model.graph.node[-1].op_type == "Sigmoid"
    if not ours or said != (name, str(plane), [("", export.OPSET)]):
        raise ValueError(f"what is called the {name} {plane} net is none that training.export wrote as such")
    return model


def _named(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """Give all that two nets would both call the same a name of its own; weights stay `net.` (`export.learned`)."""

    def own(old: str) -> str:
        if not old or old in _SHARED:
            return old
        return old.replace("net.", f"net.{name}.", 1) if old.startswith("net.") else f"{name}.{old}"

    for node in model.graph.node:
        node.name = own(node.name)
        node.input[:] = [own(each) for each in node.input]
        node.output[:] = [own(each) for each in node.output]
    for weight in model.graph.initializer:
        weight.name = own(weight.name)
    return model


def joined(models: pathlib.Path, stated: manifest.Manifest) -> dict[finding.Plane, bytes]:
    """Return the joined nets of a folder, as ONNX; ValueError, OSError where parts are not there or do not fit."""
    made = {}
    for plane in finding.Plane:
        nets = {net.architecture: net for net in stated.nets if net.plane is plane and net.architecture in PARTS}
        if missing := sorted(set(PARTS) - set(nets)):
            raise ValueError(f"{models} holds no {plane} net of {', '.join(missing)}")
        inputs = {(net.window, net.spacing, net.stride, net.depth) for net in nets.values()}
        if len(inputs) > 1:
            raise ValueError(f"the {plane} nets of {', '.join(PARTS)} do not read the same input")
        made[plane] = join({name: _read(models, nets[name]) for name in PARTS}, plane)
    return made


def _read(models: pathlib.Path, net: manifest.Net) -> bytes:
    content = (models / net.file).read_bytes()
    if _hash(content) != net.sha256:
        raise ValueError(f"{models / net.file} is not the file that the manifest tells of")
    return content


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def stating(document: Mapping[str, Any], made: Mapping[finding.Plane, bytes]) -> dict[str, Any]:
    """Return the manifest with the joined nets as its default.

    Thresholds stay where the very same nets had some; others leave every candidate in doubt until they are tuned.
    """
    there = {(net["architecture"], net["plane"]): net for net in document["nets"]}
    same = all(there.get((JOINED, plane), {}).get("sha256") == _hash(content) for plane, content in made.items())
    entries = []
    for plane, content in made.items():
        parts = [there[name, plane] for name in PARTS]
        entry = {
            **parts[0],
            "architecture": JOINED,
            "file": f"{JOINED}-{plane}.onnx",
            "sha256": _hash(content),
            "receptive_field": max(part["receptive_field"] for part in parts),
            "levels": dataclasses.asdict(export.UNCALIBRATED),
            "recipe": {"joined": {part["file"]: part["sha256"] for part in parts}},
        }
        entries.append({**entry, "levels": there[JOINED, plane]["levels"]} if same else entry)
    nets = [*entries, *(net for net in document["nets"] if net["architecture"] != JOINED)]
    changed = {**document, "nets": nets, "default_architecture": JOINED}
    if not same:
        points = document.get("operating_point", {})
        changed["operating_point"] = {name: point for name, point in points.items() if name != JOINED}
        changed["joint"] = {**document["joint"], JOINED: dataclasses.asdict(export.UNCALIBRATED_JOINT)}
        print("No thresholds were chosen for them yet: run training.evaluate --tune before any use")
    return changed


def write(models: pathlib.Path, document: Mapping[str, Any], made: Mapping[finding.Plane, bytes]) -> None:
    """Write nets and manifest, or leave all as it is; ModelError where the manifest would not be valid."""
    files = {models / f"{JOINED}-{plane}.onnx": content for plane, content in made.items()}
    files[models / "manifest.json"] = (json.dumps(document, indent=2) + "\n").encode()
    new = {path: path.with_name(f"new-{path.name}") for path in files}
    try:
        for path, content in files.items():
            new[path].write_bytes(content)
        manifest.load(new[models / "manifest.json"])
        for path, ready in new.items():  # the manifest last: with other nets than it tells of no node starts
            os.replace(ready, path)
    finally:
        for ready in new.values():
            ready.unlink(missing_ok=True)


def main() -> int:
    """Join the nets of a folder, and make them its default."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=pathlib.Path, default=export.MODELS)
    models: pathlib.Path = parser.parse_args().models
    try:
        made = joined(models, manifest.load(models / "manifest.json"))
        write(models, stating(json.loads((models / "manifest.json").read_bytes()), made), made)
    except (ValueError, OSError, errors.ModelError) as exc:
        print(exc, file=sys.stderr)
        return 2
    print(f"{', '.join(f'{JOINED}-{plane}.onnx' for plane in made)}: joined, and the default of {models}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
