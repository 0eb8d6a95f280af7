"""Hold the shape of the house: the names at the root, and how long a file may grow."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
AT_ROOT = {
    *(
        ".ci",
        ".dockerignore",
        ".gitignore",
        "CHANGELOG.md",
        "DEVELOPERS.md",
        "Dockerfile",
        "LICENSE",
        "Makefile",
        "README.md",
    ),
    *("alembic", "alembic.ini", "benchmarks", "cac", "cli", "docker-compose.yml", "docs", "locks", "models"),
    *("pyproject.toml", "service", "tests", "training", "triage", "worker"),
}
MOST_LINES = 300


def main() -> int:
    """Print what breaks the rules; return how much."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    files = [ROOT / name for name in listed if name and (ROOT / name).is_file()]
    strangers = {file.relative_to(ROOT).parts[0] for file in files} - AT_ROOT
    complaints = [f"{name}: not a name at the root; give it a room first" for name in sorted(strangers)]
    for file in (file for file in files if file.suffix == ".py"):
        lines = len(file.read_text().splitlines())
        if lines > MOST_LINES:
            complaints.append(f"{file.relative_to(ROOT)}: {lines} lines, at most {MOST_LINES}")
    if (ROOT / "alembic" / "__init__.py").exists():
        complaints.append("alembic/__init__.py: would hide the library")
    sys.stdout.writelines(f"{line}\n" for line in complaints)
    return len(complaints)


if __name__ == "__main__":
    sys.exit(min(main(), 1))
