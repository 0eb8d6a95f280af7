"""The use case of the worker: one queued series becomes one result, however often it is asked for."""

import contextlib
import dataclasses
import datetime as dt
import pathlib
import time
import traceback
from collections.abc import Callable

from cac import finding, reasons
from triage import domain, errors, logs, rules, spool
from triage.db import runs, session
from triage.dicom import reading
from worker import analyse, leases, results

FIRST_RETRY_SECONDS = 2.0
LONGEST_RETRY_SECONDS = 300.0

log = logs.get(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Bench:
    """Hold what a worker works with."""

    db: session.Database
    spool: spool.Spool
    results: pathlib.Path
    rules: rules.Rules
    engine: analyse.Engine
    models_hash: str
    worker: str
    lease_seconds: float
    max_attempts: int
    clock: Callable[[], dt.datetime] = domain.utc_now

    @property
    def method(self) -> analyse.Method:
        """Return how the node analyses: its own profile, every limit in force."""
        return analyse.Method(limits=self.rules.limits)


def triage(series_uid: str, bench: Bench) -> None:
    """Do the newest queued run of a series, if there is one and nobody else has it.

    Every failure ends in the database: given back to be tried later, or FAILED. Never in a negative.
    """
    began = time.perf_counter()
    ticket = runs.lease(bench.db, series_uid, bench.worker, bench.lease_seconds, bench.clock())
    leased = time.perf_counter() - began
    if ticket is None:
        log.debug("Nothing to do for this series.", action="no_run", series=series_uid)
        return
    bound = log.bind(series=series_uid, run=ticket.run_id, attempt=ticket.attempt)
    bound.info("The series is being analysed.", action="run_started")
    try:
        with leases.kept(bench.db, ticket, bench.lease_seconds, bench.clock):
            result = work(ticket, bench)
            result = dataclasses.replace(result, seconds={"lease": leased, **result.seconds})
            runs.finish(bench.db, ticket, result, bench.rules, bench.clock())
        bound.info("The series has a result.", action="run_done", outcome=result.outcome.value)
    except errors.LeaseLost:
        bound.warning("The run went to another worker or its images changed: dropped.", action="lease_lost")
    except Exception as exc:
        # Whatever it was, the run must not hang: permanent errors end it, all others are tried again, with an end.
        bound.error("The run failed.", action="run_failed", error=type(exc).__name__, where=_where(exc))
        _give_back(ticket, bench, exc)


def work(ticket: domain.Ticket, bench: Bench) -> domain.RunResult:
    """Analyse the run's images and write its files; StorageError, and whatever a defect raises.

    `seconds` of the result names what each step took; those of the analysis stand between `check` and `write`.
    """
    began = time.perf_counter()
    inputs = runs.inputs(bench.db, ticket)
    images = {image.sop_instance_uid: bench.spool.absolute(image.path) for image in inputs.images}
    missing = sum(_altered(bench.spool, image.path, image.sha256) for image in inputs.images)
    if missing:
        why = reasons.reason(reasons.ReasonCode.MISSING_FILE, count=missing)
        return _result(_undecided(ticket, len(images), why), bench, None)
    checked = time.perf_counter() - began
    analysis = analyse.analyse(list(images.values()), bench.engine, bench.method)
    conflicts = sum(
        _conflicts(images.get(copy.sop_instance_uid), bench.spool.absolute(copy.path)) for copy in inputs.aside
    )
    found = analyse.doubted(analysis.finding, *ticket.completeness)
    if inputs.unreadable:
        found = analyse.doubted(found, reasons.reason(reasons.ReasonCode.UNREADABLE_IMAGE, count=inputs.unreadable))
    if conflicts:
        found = _conflicting(found, conflicts)
    analysis = dataclasses.replace(
        analysis,
        finding=found,
        series_instance_uid=ticket.series_instance_uid,
        study_instance_uid=ticket.study_instance_uid,
    )
    hashes = results.Hashes(content=ticket.content_hash, models=bench.models_hash)
    folder = bench.results / ticket.series_instance_uid / hashes.folder
    began = time.perf_counter()
    written = results.write(analysis, hashes, folder)
    seconds = {"check": checked, **analysis.seconds, "write": time.perf_counter() - began}
    return _result(dataclasses.replace(analysis, seconds=seconds), bench, written)


def _altered(files: spool.Spool, path: str, sha256: str) -> bool:
    """Tell whether a file is gone or no longer holds the bytes that were acknowledged."""
    found = files.find(path)
    return found is None or found.sha256 != sha256


def _conflicts(image: pathlib.Path | None, copy: pathlib.Path) -> bool:
    """Tell whether a copy under the same UID is, or may be, another image."""
    if image is None or not copy.exists():
        return True
    try:
        return not reading.same_image(image, copy)
    except errors.UnreadableImage:
        return True


def _conflicting(found: finding.CalciumFinding, count: int) -> finding.CalciumFinding:
    """Nobody knows which copy is right: neither a negative nor a positive stands."""
    found = analyse.doubted(found, reasons.reason(reasons.ReasonCode.CONFLICTING_COPIES, count=count))
    return analyse.undecided(found) if found.outcome == finding.Outcome.PRESENT else found


def _undecided(ticket: domain.Ticket, images: int, why: reasons.Reason) -> analyse.Analysis:
    found = finding.CalciumFinding(
        outcome=finding.Outcome.INDETERMINATE,
        reasons=(*ticket.completeness, why),
        profile=finding.Profile.DEFAULT,
    )
    return analyse.Analysis(
        series_instance_uid=ticket.series_instance_uid,
        study_instance_uid=ticket.study_instance_uid,
        images=images,
        finding=found,
        loaded=None,
        provider=analyse.NO_PROVIDER,
        seconds={},
    )


def _result(analysis: analyse.Analysis, bench: Bench, written: results.Written | None) -> domain.RunResult:
    found = analysis.finding
    files = written or results.Written()
    return domain.RunResult(
        outcome=domain.Outcome(found.outcome.value),
        reasons=found.reasons,
        models_hash=bench.models_hash,
        provider=analysis.provider,
        profile=found.profile.value,
        agatston=found.agatston,
        category=found.category,
        cac_drs=found.cac_drs,
        volume_mm3=found.volume_mm3,
        mass_mg=found.mass_mg,
        images=analysis.images,
        seconds=dict(analysis.seconds),
        candidates=tuple(results.candidate(each) for each in found.candidates),
        lesions=tuple(dataclasses.asdict(lesion) for lesion in found.lesions),
        segmentation_path=_relative(files.segmentation, bench),
        segmentation_uid=files.segmentation_uid,
        preview_path=_relative(files.preview, bench),
    )


def _relative(path: pathlib.Path | None, bench: Bench) -> str | None:
    return None if path is None else path.relative_to(bench.results).as_posix()


def _give_back(ticket: domain.Ticket, bench: Bench, cause: Exception) -> None:
    retriable = not isinstance(cause, errors.PermanentError)
    wait = min(FIRST_RETRY_SECONDS * 2 ** max(0, ticket.attempt - 1), LONGEST_RETRY_SECONDS)
    # A database out of reach lets the lease run out, which has the same end.
    with contextlib.suppress(errors.StorageError, errors.LeaseLost):
        runs.give_back(
            bench.db,
            ticket,
            reasons.reason(reasons.ReasonCode.ERROR, what=type(cause).__name__),
            retriable=retriable,
            max_attempts=bench.max_attempts,
            backoff=wait,
            rules=bench.rules,
            now=bench.clock(),
        )


def _where(exc: Exception) -> str:
    """Return file and line, but no message: foreign ones may quote the header, and so the patient."""
    frame = traceback.extract_tb(exc.__traceback__)[-1]
    return f"{pathlib.Path(frame.filename).name}:{frame.lineno}"
