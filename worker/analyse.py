"""From the files of one series to its finding: the same way in the node and in `cac-triage run`."""

import dataclasses
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from cac import errors as cac_errors
from cac import finding, pipeline, reasons, suitability, volume
from triage import domain, eligibility, errors
from triage.dicom import reading

NO_PROVIDER = domain.NO_PROVIDER


class Engine(Protocol):
    """Run the nets: what `worker.inference` opens, and the seam where tests put their own."""

    @property
    def provider(self) -> str:
        """Return what the nets run on."""
        ...

    @property
    def spec(self) -> finding.NetSpec:
        """Return what the nets expect."""
        ...

    def predict(self, plane: finding.Plane, stack: volume.FloatArray, core: finding.Core) -> volume.FloatArray:
        """Return the probabilities of one plane (`cac.finding.Predict`)."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Method:
    """Say how to analyse: what is suitable, which way through the algorithm, and whether suitability is overridden."""

    limits: suitability.Limits = dataclasses.field(default_factory=suitability.Limits)
    profile: finding.Profile = finding.Profile.DEFAULT
    ignore_suitability: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Analysis:
    """Hold what became of one series. `loaded` is None where it ended before its pixels were a volume."""

    series_instance_uid: str
    study_instance_uid: str
    images: int
    finding: finding.CalciumFinding
    loaded: reading.LoadedSeries | None
    provider: str
    seconds: Mapping[str, float]


def analyse(paths: Sequence[pathlib.Path], engine: Engine, method: Method) -> Analysis:
    """Read a series and look for calcium; a series that cannot be judged ends in a finding that says why.

    Raises StorageError where a file cannot be reached; any other foreign exception is a defect.
    """
    started = time.perf_counter()
    try:
        series = reading.read_headers(paths)
    except errors.UnreadableImage:
        return _ended(paths, None, _unsuitable(method, _unreadable()), started)
    objections = header_objections(series, method.limits)
    if objections and not method.ignore_suitability:
        return _ended(paths, series, _unsuitable(method, *objections), started)
    try:
        loaded = reading.load_series(series)
    except cac_errors.GeometryError as exc:
        return _ended(paths, series, _unsuitable(method, *objections, exc.reason), started)
    except errors.UnreadableImage:
        return _ended(paths, series, _unsuitable(method, *objections, _unreadable()), started)
    read_seconds = time.perf_counter() - started
    found = _find(loaded, engine, method)
    if method.ignore_suitability:
        found = doubted(found, *objections, reasons.reason(reasons.ReasonCode.SUITABILITY_IGNORED))
    return Analysis(
        series_instance_uid=series.instances[0].series_instance_uid,
        study_instance_uid=series.instances[0].study_instance_uid,
        images=len(paths),
        finding=found,
        loaded=loaded,
        provider=engine.provider if found.mask is not None else NO_PROVIDER,
        seconds={"read": read_seconds, **found.seconds},
    )


def doubted(found: finding.CalciumFinding, *doubts: reasons.Reason) -> finding.CalciumFinding:
    """Add reasons that speak against a negative: ABSENT becomes INDETERMINATE, any other outcome stays."""
    known = {reason.code for reason in found.reasons}
    added = tuple(reason for reason in doubts if reason.code not in known)
    found = dataclasses.replace(found, reasons=found.reasons + added)
    return undecided(found) if doubts and found.outcome == finding.Outcome.ABSENT else found


def undecided(found: finding.CalciumFinding) -> finding.CalciumFinding:
    """Make a finding INDETERMINATE: without scores, for 0 beside a doubt would read as a result."""
    return dataclasses.replace(
        found,
        outcome=finding.Outcome.INDETERMINATE,
        reasons=tuple(reason for reason in found.reasons if reason.code != reasons.ReasonCode.NO_CALCIUM),
        agatston=None,
        volume_mm3=None,
        mass_mg=None,
        category=None,
        cac_drs=None,
    )


def header_objections(series: reading.SeriesHeaders, limits: suitability.Limits) -> tuple[reasons.Reason, ...]:
    """Return what the headers say against the series, by the node's own rule of eligibility."""
    same = {field.name for field in dataclasses.fields(domain.HeaderFacts)} - {"description"}
    facts = [
        domain.HeaderFacts(**{name: getattr(each, name) for name in same}, description=each.series_description)
        for each in series.instances
    ]
    _, why = eligibility.standing(list(dict.fromkeys(facts)), limits)
    return why


def _find(loaded: reading.LoadedSeries, engine: Engine, method: Method) -> finding.CalciumFinding:
    try:
        return pipeline.find_calcium(
            loaded.volume,
            engine.predict,
            engine.spec,
            profile=method.profile,
            limits=method.limits,
            ignore_suitability=method.ignore_suitability,
        )
    except cac_errors.GeometryError as exc:
        return _unsuitable(method, exc.reason)
    except cac_errors.PredictionError:
        return finding.CalciumFinding(
            outcome=finding.Outcome.INDETERMINATE,
            reasons=(reasons.reason(reasons.ReasonCode.NON_FINITE),),
            profile=method.profile,
        )


def _ended(
    paths: Sequence[pathlib.Path],
    series: reading.SeriesHeaders | None,
    found: finding.CalciumFinding,
    started: float,
) -> Analysis:
    first = series.instances[0] if series else None
    return Analysis(
        series_instance_uid=first.series_instance_uid if first else "",
        study_instance_uid=first.study_instance_uid if first else "",
        images=len(paths),
        finding=found,
        loaded=None,
        provider=NO_PROVIDER,
        seconds={"read": time.perf_counter() - started},
    )


def _unsuitable(method: Method, *why: reasons.Reason) -> finding.CalciumFinding:
    return finding.CalciumFinding(outcome=finding.Outcome.UNSUITABLE, reasons=why, profile=method.profile)


def _unreadable() -> reasons.Reason:
    return reasons.reason(reasons.ReasonCode.UNREADABLE_IMAGE, count="At least 1")
