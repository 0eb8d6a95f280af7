"""Other ways to run the nets on a CPU: seconds against answers changed, on the windows of one zero phantom.

`python -m benchmarks.options` compares ONNX Runtime in float32 with its int8 (QDQ, static, per channel, calibrated on
these very windows, which flatters it), and with OpenVINO where that is installed. Bfloat16 needs a processor for it.
"""

import pathlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from typing import Any, TypeAlias

import numpy as np
import onnxruntime
from onnxruntime import quantization

from benchmarks.scan import MODELS, SLICES
from cac import finding, fusion, pipeline, volume
from cac.phantom import scan
from triage import manifest
from worker import inference

Call: TypeAlias = tuple[finding.Plane, volume.FloatArray, finding.Core]
Run: TypeAlias = Callable[[Call], volume.FloatArray]
ROUNDS = 3


def windows(engine: inference.Engine) -> list[Call]:
    """Record what the nets are asked for a zero phantom with mimics, 512 x 512 x 100 at 1.5 mm."""
    style = scan.Style(above=76.0, below=(SLICES - 1) * 1.5 - 76.0, noise=18.0)
    made = scan.make(agatston=0.0, seed=901, increment=1.5, mimics=6, style=style)
    calls: list[Call] = []

    def predict(plane: finding.Plane, stack: volume.FloatArray, core: finding.Core) -> volume.FloatArray:
        calls.append((plane, stack, core))
        return engine.predict(plane, stack, core)

    pipeline.find_calcium(made.volume, predict, engine.spec)
    return calls


def _int8(engine: inference.Engine, calls: Sequence[Call]) -> Run:
    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self, plane: finding.Plane) -> None:
            chosen = [call for call in calls if call[0] is plane][:24]
            self._inputs: Iterator[dict[str, Any]] = ({"image": s[:4], "core": np.array(c)} for _, s, c in chosen)

        def get_next(self) -> dict[str, Any] | None:
            return next(self._inputs, None)

    sessions = {}
    with tempfile.TemporaryDirectory() as folder:
        for plane, net in engine.model_set.nets.items():
            target = pathlib.Path(folder) / net.file
            quantization.quantize_static(
                MODELS / net.file,
                target,
                Reader(plane),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                op_types_to_quantize=["Conv", "ConvTranspose", "MaxPool"],
            )
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            sessions[plane] = onnxruntime.InferenceSession(target, options, providers=["CPUExecutionProvider"])
    return lambda call: sessions[call[0]].run(None, {"image": call[1], "core": np.array(call[2])})[0]


def _openvino(engine: inference.Engine, threads: int) -> Run | None:
    try:
        import openvino  # type: ignore[import-not-found]  # only where it is installed
    except ImportError:
        return None
    core = openvino.Core()
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    nets = {p: core.compile_model(MODELS / net.file, "CPU", settings) for p, net in engine.model_set.nets.items()}
    return lambda call: nets[call[0]]({"image": call[1], "core": np.array(call[2])})[0]


def _timed(run: Run, calls: Sequence[Call], threads: int) -> tuple[float, list[volume.FloatArray]]:
    seconds = []
    with futures.ThreadPoolExecutor(threads) as pool:
        for _ in range(ROUNDS):
            start = time.perf_counter()
            answers = list(pool.map(run, calls))
            seconds.append(time.perf_counter() - start)
    return min(seconds), answers


def main() -> int:
    """Print the table."""
    engine = inference.load(manifest.load(MODELS / "manifest.json"), MODELS)
    calls = sorted(windows(engine), key=lambda call: -call[1].size)
    ways: dict[str, tuple[Run | None, int]] = {
        "ONNX Runtime, float32, a thread a window": (lambda call: engine.predict(*call), engine.threads),
        "ONNX Runtime, int8": (_int8(engine, calls), engine.threads),
        "OpenVINO, float32, all threads on a window": (_openvino(engine, engine.threads), 1),
    }
    print(
        "| way | seconds | pixels called calcium | of them lost | gained | largest change |\n|---|---|---|---|---|---|"
    )
    reference: list[volume.FloatArray] | None = None
    for name, (run, threads) in ways.items():
        if run is None:
            print(f"| {name} | not installed |||||")
            continue
        seconds, answers = _timed(run, calls, threads)
        reference = reference or answers
        lost = gained = called = 0
        for before, after in zip(reference, answers, strict=True):
            was, now = (values >= fusion.EXTENT for values in (before, after))
            lost, gained = lost + int((was & ~now).sum()), gained + int((now & ~was).sum())
            called += int(now.sum())
        change = max(float(np.abs(a - b).max()) for a, b in zip(reference, answers, strict=True))
        print(f"| {name} | {seconds:.2f} | {called} | {lost} | {gained} | {change:.1e} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
