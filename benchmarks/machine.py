"""What a measurement ran on, without the machine's name."""

import os
import pathlib
import platform
import sqlite3
from importlib import metadata

import psutil

PACKAGES = ("numpy", "scipy", "onnxruntime", "pydicom", "pynetdicom", "sqlalchemy", "celery", "fastapi")


def description() -> str:
    """Return a Markdown table: processor, cores, memory, system and versions."""
    rows = {
        "processor": _processor(),
        "cores": str(cores()),
        "memory": f"{psutil.virtual_memory().total / (1 << 30):.1f} GiB",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": ", ".join([f"SQLite {sqlite3.sqlite_version}", *_versions()]),
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {told} |" for name, told in rows.items())])


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def pin(process: int, core: int) -> None:
    """Keep a process, its children and all their threads on one core, the `core`th of those allowed."""
    if not hasattr(os, "sched_setaffinity"):
        return
    allowed = sorted(os.sched_getaffinity(0))
    top = psutil.Process(process)
    for each in (top, *top.children(recursive=True)):
        for thread in each.threads():
            os.sched_setaffinity(thread.id, {allowed[core % len(allowed)]})


def _processor() -> str:
    known = pathlib.Path("/proc/cpuinfo")
    lines = known.read_text().splitlines() if known.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def _versions() -> list[str]:
    told = []
    for name in PACKAGES:
        try:
            told.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return told
