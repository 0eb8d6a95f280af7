"""`cac-triage run`: the node's own way from files to a finding, without a node."""

import dataclasses
import json
import pathlib
import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cli import console

if TYPE_CHECKING:
    from cac import finding
    from cli import series_files
    from worker import analyse


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Bench:
    """Hold what every series is analysed with."""

    engine: "analyse.Engine"
    models_hash: str
    method: "analyse.Method"
    out: pathlib.Path | None


def run(
    paths: Annotated[list[pathlib.Path], typer.Argument(metavar="PATH", help="DICOM files, or folders of them.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a series on standard output, and nothing else.")
    ] = False,
    out: Annotated[
        pathlib.Path | None, typer.Option(help="Also write SEG, result.json and preview.png, a folder a series.")
    ] = None,
    profile: Annotated[
        Literal["default", "paper"],
        typer.Option(help="'paper' is the published way, for study: it can lower nothing."),
    ] = "default",
    everything: Annotated[bool, typer.Option("--all", help="List the rejected candidates too.")] = False,
    ignore_suitability: Annotated[
        bool, typer.Option("--ignore-suitability", help="Analyse unsuitable series too, for study: can lower nothing.")
    ] = False,
) -> None:
    """Look for coronary calcium in folders of DICOM files, without a server.

    Files are grouped by series. Leaves with 0 when every series got an outcome, with 1 when something went wrong.
    """
    from cac import finding
    from cli import series_files
    from triage import errors, logs

    logs.configure("WARNING")
    series = series_files.group(paths)
    bench = _open(out, finding.Profile(profile), ignore_suitability)
    results: list[dict[str, Any]] = []
    failed = 0
    for each in series:
        try:
            result = _one(each, bench)
        except Exception as failure:  # one series' failure must not hide the others' results
            failed += 1
            why = str(failure) if isinstance(failure, errors.TriageError) else f"{type(failure).__name__}: {failure}"
            sys.stderr.write(f"cac-triage: series {each.series_instance_uid}: {why}\n")
            continue
        results.append(result)
        if as_json:
            sys.stdout.write(json.dumps(result, allow_nan=False) + "\n")
            sys.stdout.flush()
    if not as_json:
        _show(results, everything)
    if failed:
        console.refuse(f"{failed} of {len(series)} series could not be analysed.")


def _open(out: pathlib.Path | None, profile: "finding.Profile", ignore_suitability: bool) -> _Bench:
    """Open the nets and prove them, as the node's worker does."""
    from triage import settings
    from worker import analyse, inference

    config = settings.load()
    engine = inference.from_settings(config)
    inference.self_test(engine)
    method = analyse.Method(limits=config.limits, profile=profile, ignore_suitability=ignore_suitability)
    return _Bench(engine=engine, models_hash=engine.model_set.digest(profile), method=method, out=out)


def _one(series: "series_files.SeriesFiles", bench: _Bench) -> dict[str, Any]:
    from worker import analyse, results

    analysis = analyse.analyse(series.paths, bench.engine, bench.method)
    analysis = dataclasses.replace(analysis, series_instance_uid=series.series_instance_uid)
    hashes = results.Hashes(content=series.content_hash, models=bench.models_hash)
    if bench.out is not None:
        results.write(analysis, hashes, bench.out / series.series_instance_uid)
    return results.describe(analysis, hashes)


def _show(results: list[dict[str, Any]], everything: bool) -> None:
    import rich.table

    from cli import candidates

    table = rich.table.Table("series", "images", "outcome", "Agatston", "category", "seconds", "why")
    for result in results:
        score = result["agatston"]
        table.add_row(
            "…" + result["series_instance_uid"][-16:],
            str(result["images"]),
            result["outcome"],
            "" if score is None else f"{score:.1f}",
            result["category"] or "",
            f"{result['seconds']:.1f}",
            " ".join(reason["text"] for reason in result["reasons"]),
        )
    shown = console.out()
    shown.print(table)
    for result in results:
        candidates.show(shown, result, everything=everything)
    shown.print("Research software. An outcome speaks of coronary calcium only.")
