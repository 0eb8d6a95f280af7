"""Join each plane's nets of several architectures into one: `python -m training.join`.

The joined net's logit is the mean of theirs, so that to the pipeline it is one more architecture: three planes, one net
each. What errs in one net alone, as on noise, weighs half. See docs/decisions, 31.
"""

import argparse
import dataclasses
import hashlib
import json
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from cac import finding
from training import export

PARTS = ("dilated", "plain")
JOINED = "both"
_SHARED = ("image", "core")


def join(parts: Mapping[str, bytes], plane: finding.Plane) -> bytes:
    """Return one net, as ONNX, whose logit is the mean of the parts'; ValueError where one is no net of `export`."""
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []
    logits = []
    for name, content in parts.items():
        graph = _named(onnx.load_from_string(content), name).graph
        *before, last = graph.node
        if last.op_type != "Sigmoid" or [each.name for each in graph.input] != list(_SHARED):
            raise ValueError(f"the {name} {plane} net is none that training.export wrote")
        nodes += before
        weights += graph.initializer
        logits.append(last.input[0])
    first = onnx.load_from_string(next(iter(parts.values())))
    weights.append(numpy_helper.from_array(np.array(1 / len(logits), np.float32), "share"))
    nodes += [
        helper.make_node("Sum", logits, ["sum"], name="node_sum"),
        helper.make_node("Mul", ["sum", "share"], ["logit"], name="node_logit"),
        helper.make_node("Sigmoid", ["logit"], ["probability"], name="node_probability"),
    ]
    graph = helper.make_graph(nodes, JOINED, first.graph.input, first.graph.output, weights)
    model = helper.make_model(graph, opset_imports=first.opset_import, ir_version=first.ir_version)
    helper.set_model_props(model, {"plane": str(plane), "architecture": JOINED, "use": "research only"})
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _named(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """Give all that two nets would both call the same a name of its own; weights stay `net.` (`export.learned`)."""

    def own(old: str) -> str:
        if not old or old in _SHARED:
            return old
        return f"net.{name}.{old.removeprefix('net.')}" if old.startswith("net.") else f"{name}.{old}"

    for node in model.graph.node:
        node.name = own(node.name)
        node.input[:] = [own(each) for each in node.input]
        node.output[:] = [own(each) for each in node.output]
    for weight in model.graph.initializer:
        weight.name = own(weight.name)
    return model


def joined(models: pathlib.Path, stated: Mapping[str, Any]) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """Return the joined nets' part of the manifest, and their files; ValueError, OSError where parts are not there.

    Thresholds stay where the very same nets had some; others leave every candidate in doubt until they are tuned.
    """
    there = {(net["architecture"], net["plane"]): net for net in stated.get("nets", [])}
    entries, files = [], {}
    for plane in finding.Plane:
        if missing := [name for name in PARTS if (name, plane) not in there]:
            raise ValueError(f"{models} holds no {plane} net of {', '.join(missing)}")
        parts = {name: there[name, plane] for name in PARTS}
        content = join({name: _read(models, net) for name, net in parts.items()}, plane)
        entries.append(_entry(plane, content, list(parts.values()), there.get((JOINED, plane))))
        files[entries[-1]["file"]] = content
    return entries, files


def _read(models: pathlib.Path, net: Mapping[str, Any]) -> bytes:
    content = (models / net["file"]).read_bytes()
    if _hash(content) != net["sha256"]:
        raise ValueError(f"{models / net['file']} is not the file that the manifest tells of")
    return content


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _entry(
    plane: finding.Plane, content: bytes, parts: Sequence[Mapping[str, Any]], before: Mapping[str, Any] | None
) -> dict[str, Any]:
    kept = before["levels"] if before and before["sha256"] == _hash(content) else None
    return {
        **parts[0],
        "architecture": JOINED,
        "file": f"{JOINED}-{plane}.onnx",
        "sha256": _hash(content),
        "receptive_field": max(part["receptive_field"] for part in parts),
        "levels": kept or dataclasses.asdict(export.UNCALIBRATED),
        "recipe": {"joined": {part["file"]: part["sha256"] for part in parts}},
    }


def main() -> int:
    """Join the nets of a folder, and make them its default."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=pathlib.Path, default=export.MODELS)
    models: pathlib.Path = parser.parse_args().models
    stated = export.there(models)
    try:
        entries, files = joined(models, stated)
    except (ValueError, OSError) as exc:
        print(exc, file=sys.stderr)
        return 2
    old = [net["sha256"] for net in stated["nets"] if net["architecture"] == JOINED]
    if old != [net["sha256"] for net in entries]:
        stated["joint"][JOINED] = dataclasses.asdict(export.UNCALIBRATED_JOINT)
        stated["operating_point"].pop(JOINED, None)
        print("No thresholds were chosen for them yet: run training.evaluate --tune before any use")
    stated["nets"] = [*entries, *(net for net in stated["nets"] if net["architecture"] != JOINED)]
    stated["default_architecture"] = JOINED
    for name, content in files.items():
        (models / name).write_bytes(content)
    (models / "manifest.json").write_text(json.dumps(stated, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
