"""The nets in ONNX Runtime: weights verified, sessions opened, and tested on a known case before they take work."""

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Mapping

import numpy as np
import onnxruntime

from cac import errors as cac_errors
from cac import finding, pipeline, volume
from cac.phantom import scan
from triage import errors, manifest, settings

PROVIDERS = {"cpu": ["CPUExecutionProvider"], "cuda": ["CUDAExecutionProvider", "CPUExecutionProvider"]}
CALL_PIXELS = 1 << 20
"""Pixels a call at most: more only costs memory (a feature map of 16 channels is 64 bytes a pixel)."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Engine:
    """Hold the three nets, ready to run. `provider` says what they run on, for every result.

    `threads` call them at once, each on one core: several small calls side by side are faster than one after the other
    on all cores.
    """

    model_set: manifest.ModelSet
    provider: str
    sessions: Mapping[finding.Plane, onnxruntime.InferenceSession]
    evaluation: finding.Evaluation = finding.Evaluation.SPARSE
    threads: int = 1

    @property
    def spec(self) -> finding.NetSpec:
        """Return what the science needs to know of these nets."""
        return self.model_set.net_spec(self.evaluation, self.threads)

    def predict(self, plane: finding.Plane, stack: volume.FloatArray, core: finding.Core) -> volume.FloatArray:
        """Run one plane's net: the `cac.finding.Predict` of the node. PredictionError on an unusable answer."""
        top, left, bottom, right = core
        answer = np.empty((len(stack), bottom - top, right - left), np.float32)
        each = max(1, CALL_PIXELS // (stack.shape[2] * stack.shape[3]))
        for start in range(0, len(stack), each):
            images = np.ascontiguousarray(stack[start : start + each], np.float32)
            (part,) = self.sessions[plane].run(None, {"image": images, "core": np.array(core, np.int64)})
            if part.shape != (len(images), *answer.shape[1:]):
                raise cac_errors.PredictionError(f"The {plane} net answered with shape {part.shape}.")
            answer[start : start + each] = part
        if not np.isfinite(answer).all():
            raise cac_errors.PredictionError(f"The {plane} net answered with a value that is not a number.")
        return answer


def load(
    stated: manifest.Manifest,
    models_dir: pathlib.Path,
    architecture: str | None = None,
    *,
    device: str = "cpu",
    threads: int = 0,
    evaluation: finding.Evaluation = finding.Evaluation.SPARSE,
) -> Engine:
    """Open the nets of one architecture, the manifest's default if none is named.

    `device` is 'cpu' or 'cuda' (falls back to the CPU where CUDA is absent); `threads` 0 means a thread for
    each core this process may use, `evaluation` is windows around candidates or whole images.
    ModelError when a file is missing, differs from its hash, or is another plane's or architecture's net.
    """
    model_set = stated.model_set(architecture)
    sessions = {plane: _open(net, models_dir / net.file, device=device) for plane, net in model_set.nets.items()}
    used = {session.get_providers()[0] for session in sessions.values()}
    # Nets on different providers would make 'what ran' ambiguous: then all go to the CPU.
    if len(used) > 1:
        return load(stated, models_dir, model_set.architecture, threads=threads, evaluation=evaluation)
    provider = used.pop()
    at_once = (threads or len(os.sched_getaffinity(0))) if provider == "CPUExecutionProvider" else 1
    return Engine(model_set=model_set, provider=provider, sessions=sessions, evaluation=evaluation, threads=at_once)


def from_settings(config: settings.Settings) -> Engine:
    """Open the nets that the settings name and their manifest pins; ModelError."""
    return load(
        manifest.load(config.models / "manifest.json"),
        config.models,
        config.architecture,
        device=config.device,
        threads=config.threads,
        evaluation=config.evaluation,
    )


def self_test(engine: Engine) -> None:
    """Run the manifest's small-lesion phantom; ModelError unless it comes out PRESENT (SCIENCE.md section 5)."""
    case = engine.model_set.self_test
    # A small, quiet scan: this runs before every start.
    style = scan.Style(matrix=case.matrix, pixel=case.pixel, noise=case.noise)
    phantom = scan.make(agatston=case.agatston, seed=case.seed, increment=case.increment, mimics=0, style=style)
    outcome = pipeline.find_calcium(phantom.volume, engine.predict, engine.spec).outcome
    if outcome is not finding.Outcome.PRESENT:
        raise errors.ModelError(
            f"Self-test failed: a lesion of Agatston {phantom.agatston:.0f} came out {outcome} on {engine.provider}."
        )


def _open(net: manifest.Net, path: pathlib.Path, *, device: str) -> onnxruntime.InferenceSession:
    try:
        # Read once: what is hashed is what runs.
        weights = path.read_bytes()
    except OSError as error:
        raise errors.ModelError(f"The weights {path} cannot be read: {error.strerror}.") from error
    if hashlib.sha256(weights).hexdigest() != net.sha256:
        raise errors.ModelError(f"The weights {path} differ from the hash in the manifest.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # the callers are the threads
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(weights, options, providers=_providers(device))
    except Exception as error:  # ONNX Runtime raises several unrelated types
        raise errors.ModelError(f"The weights {path} do not load: {error}.") from error
    _check_identity(net, session)
    return session


def _providers(device: str) -> list[str]:
    if device not in PROVIDERS:
        raise errors.ModelError(f"Unknown device {device!r}: say cpu or cuda.")
    available = onnxruntime.get_available_providers()
    return [provider for provider in PROVIDERS[device] if provider in available]


def _check_identity(net: manifest.Net, session: onnxruntime.InferenceSession) -> None:
    """Refuse a net whose own metadata or shape contradicts the manifest: hashes alone let two planes be swapped."""
    inside = session.get_modelmeta().custom_metadata_map
    for key, wanted in (("plane", str(net.plane)), ("architecture", net.architecture)):
        if inside.get(key) != wanted:
            raise errors.ModelError(f"{net.file} is the {inside.get(key)} net, but the manifest calls it {wanted}.")
    inputs, outputs = session.get_inputs(), session.get_outputs()
    names = [each.name for each in inputs]
    if names != ["image", "core"] or len(outputs) != 1 or len(outputs[0].shape) != 3:
        raise errors.ModelError(f"{net.file} does not map an image stack and its core to one map of probabilities.")
    channels = inputs[0].shape[1]
    if channels != net.input_shape[1]:
        raise errors.ModelError(f"{net.file} reads {channels} channels, but the manifest says {net.input_shape[1]}.")
